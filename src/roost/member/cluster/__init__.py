"""Who is in the cluster: the roster, its changes, and what is known of each neighbour."""
