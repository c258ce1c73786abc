"""What a client can do to a member, and what another client sees of it (issue 14)."""
