"""How a first member finds the others of its cluster, and what wins when several things say so."""
