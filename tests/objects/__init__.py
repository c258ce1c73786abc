"""Replicated objects, beside CPython's own types and in clusters in virtual time."""
