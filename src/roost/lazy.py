"""Names of a module that are loaded when they are first used.

Who only talks to a cluster imports `roost.Client`, and must not load the server for it.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazily(module: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """A `__getattr__` for `module`, by the module that has each name, or is it."""

    def get(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        place = import_module(places[name])
        found: object = place if places[name] == f"{module}.{name}" else getattr(place, name)
        setattr(sys.modules[module], name, found)  # the next time it is simply there
        return found

    return get
