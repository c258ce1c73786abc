"""The TCP proxy before a cluster."""
