"""How objects lie in trees."""
