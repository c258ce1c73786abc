"""Tests of `roost.etcd`."""
