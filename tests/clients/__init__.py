"""Other people's clients against Roost."""
