"""What a member was started with, as its flags would say it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import get_type_hints

import msgspec

from roost.settings import SECRET, Settings


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; `name` is its flag, both values are as a flag takes them.

    What is secret is not shown, nor is a login in an address.
    `origin` is who has set it: a flag, a variable, a file, `roost.open`; empty = nobody.
    """

    name: str
    value: str
    default: str
    is_default: bool
    origin: str
    text: str


HIDDEN = "(not shown)"
_LOGIN = re.compile(r"(?<=://)[^/?#\s,]*@")


def _shown(value: object, said: tuple[object, ...]) -> str:
    """A value, for whoever may see all settings; `said` is what stands with it in `Settings`."""
    text = _text(value)
    if SECRET in said:
        return HIDDEN if text else ""
    return _LOGIN.sub("...@", text)


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}s"
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def rows_of(settings: Settings, origins: Mapping[str, str]) -> Sequence[Setting]:
    """All of them, in the order in which help lists them; `origins` are by the names of flags."""
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    return [
        Setting(
            name=it.name.replace("_", "-"),
            value=_shown(getattr(settings, it.name), hints[it.name].__metadata__),
            default=_text(getattr(defaults, it.name)),
            is_default=getattr(settings, it.name) == getattr(defaults, it.name),
            origin=origins.get(it.name.replace("_", "-"), ""),
            text=hints[it.name].__metadata__[0],
        )
        for it in fields(Settings)
    ]
