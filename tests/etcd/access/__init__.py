"""Tests of `roost.etcd.access`."""
