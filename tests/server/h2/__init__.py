"""Our HTTP/2, one file a module."""
