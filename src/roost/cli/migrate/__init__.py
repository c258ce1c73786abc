"""`roost migrate`: the live way from an etcd to Roost."""
