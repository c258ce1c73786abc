"""`roost gateway`: connections of clients, handed on to members that answer."""
