"""`roost check`: whether a cluster does what is asked of it, by asking it."""
