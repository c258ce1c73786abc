"""Copies of the store: for peers that lag, for defragmentation, for operators."""
