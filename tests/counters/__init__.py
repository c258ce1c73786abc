"""Counters: their laws, their store, and members that are cut off from each other."""
