"""What `roost.open` gives: a database with all services of its member in one program."""
