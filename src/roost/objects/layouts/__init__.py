"""How objects lie in trees, and the operations that change them, where the cluster leads."""
