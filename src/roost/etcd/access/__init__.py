"""Who may do what: users and roles, passwords and tokens, and what a request needs."""
