"""Whole members in virtual time, with a network, disks, clients and a judge."""
