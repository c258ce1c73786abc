"""Tests of `roost.etcd.v3`."""
