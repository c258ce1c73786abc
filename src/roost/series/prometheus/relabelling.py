"""Functions of PromQL that change labels: `label_replace` and `label_join`.

A pattern is RE2's and has to fit a whole value; what stands for its groups is `$1`, `$name` or
`${name}`, and `$$` is a dollar sign, as in Go.
"""

import re

from roost.series.prometheus.errors import BadQuery, QueryFailed
from roost.series.prometheus.matching import Pattern, pattern
from roost.series.prometheus.vectors import Labels, Vector, relabelled, united

_GROUP = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# What a label may be made of others: patterns can repeat a value.
VALUE_BYTES_MAX = 4096


def label_replace(vector: Vector, target: str, template: str, source: str, text: str) -> Vector:
    """Set a label to what a pattern finds in another one; where it does not fit, nothing changes.

    Raises:
        BadQuery: the pattern or a name is none.
        QueryFailed: two series are the same then.

    """
    _check(target)
    found = pattern(text)

    def change(labels: Labels) -> Labels:
        value = dict(labels).get(source, "")
        groups = found.groups(value)
        return labels if groups is None else _with(labels, target, _filled(template, found, groups))

    return united(relabelled(vector, change))


def label_join(vector: Vector, target: str, separator: str, sources: tuple[str, ...]) -> Vector:
    """Set a label to the values of others, one after the other.

    Raises:
        BadQuery: a name is none.
        QueryFailed: two series are the same then.

    """
    _check(target)

    def change(labels: Labels) -> Labels:
        held = dict(labels)
        return _with(labels, target, separator.join(held.get(it, "") for it in sources))

    return united(relabelled(vector, change))


def _check(target: str) -> None:
    if not _LABEL.fullmatch(target):
        raise BadQuery(f"{target!r} is no name of a label")


def _with(labels: Labels, target: str, value: str) -> Labels:
    if len(value.encode()) > VALUE_BYTES_MAX:
        raise QueryFailed(f"a label of more than {VALUE_BYTES_MAX} bytes: make less of it")
    kept = [it for it in labels if it[0] != target]
    return tuple(sorted([*kept, (target, value)] if value else kept))


def _filled(template: str, found: Pattern, groups: list[str]) -> str:
    """A template with the groups of a match."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3]
        place = int(name) if name.isdigit() else found.names.get(name, -1)
        return groups[place] if 0 <= place < len(groups) else ""

    return _GROUP.sub(value, template)
