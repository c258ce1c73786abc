"""`python -m roost.cli` is `roost`."""

from roost.cli.main import main

main(prog_name="roost")
