"""Roost: replicated storage for Python."""
