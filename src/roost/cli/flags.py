"""The flags of `roost serve` as options of a command, in etcd's spellings."""

import click

from roost.cli.settings import FLAGS, NOTED, REFUSED, Flag


def serve_options(*, is_hidden: bool = False) -> list[click.Parameter]:
    """One option a flag; with `is_hidden` help names none of them."""
    return [_option(flag, is_hidden=is_hidden) for flag in FLAGS.values()]


def _option(flag: Flag, *, is_hidden: bool) -> click.Option:
    names = [f"--{flag.name}", f"-{flag.name}", flag.name.replace("-", "_")]
    is_idle = flag in REFUSED or flag in NOTED
    text = f"Changes nothing: {flag.text}." if is_idle else flag.text
    hidden = is_idle or is_hidden
    if flag.kind is bool:
        # A boolean's value may be left out; Go's flag package means "true" then.
        return click.Option(
            names, is_flag=False, flag_value="true", metavar="BOOL", help=text, hidden=hidden
        )
    return click.Option(
        names, metavar="INT" if flag.kind is int else "STR", help=text, hidden=hidden
    )


def said_of(given: dict[str, str | None]) -> dict[str, str]:
    """What was given of them, by the names of the flags."""
    return {name.replace("_", "-"): value for name, value in given.items() if value is not None}
