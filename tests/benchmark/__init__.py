"""What is measured, where it can be said exactly, and how figures become a page."""
