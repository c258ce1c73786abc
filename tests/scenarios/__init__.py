"""What the consensus core does, told in text files."""
