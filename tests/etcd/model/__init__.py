"""Tests of `roost.etcd.model`."""
