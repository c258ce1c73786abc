"""How a package that not everybody needs is installed, for who is told that it is missing.

`pip install 'roost[series]'` finds Roost on an index, or fails: whoever works in a clone names the
clone.  So both are said.
"""


def command_for(extra: str) -> str:
    """What to type for an extra of ours."""
    return f"pip install 'roost[{extra}]', or in a clone of it pip install -e '.[{extra}]'"
