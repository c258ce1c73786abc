"""Counters that count while the cluster is split: partners replicate them, not the log."""
