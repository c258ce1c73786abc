"""Where it stands what an alarm means, and what to do about it: messages name the place."""

_PAGE = "docs/how-to/alarms.md"


def place_of(alarm: str) -> str:
    """The part of the page about one alarm, by its name or by what a message calls it."""
    return f"{_PAGE}#{alarm.lower().replace(' ', '-')}"
