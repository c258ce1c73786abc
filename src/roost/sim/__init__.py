"""Checking what a cluster did: so far the linearizability checker."""
