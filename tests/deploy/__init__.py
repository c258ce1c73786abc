"""What is in `deploy/`, held to the program: it is read, linted and run as far as a machine can."""
