"""The data directory before a member runs: opened, filled by others, begun anew."""
