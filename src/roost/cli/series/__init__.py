"""`roost series`: time series from the command line."""
