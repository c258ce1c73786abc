"""Looking after what is held: scrubs, digests, repair."""
