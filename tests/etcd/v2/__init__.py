"""Tests of etcd's v2: the tree, its history, its watches, and its pages."""
