"""Members that find each other before they begin."""
