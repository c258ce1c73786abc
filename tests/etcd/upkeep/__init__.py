"""Tests of `roost.etcd.upkeep`."""
