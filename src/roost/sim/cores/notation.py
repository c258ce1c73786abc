"""How scenarios write nodes, positions, entries and messages.

A node is n1; a position index:term; an entry index:term (empty), index:term:payload, or
index:term:change.  A message is its kind and its fields; two fields that name a position are one.
"""

import re
from typing import Any

from roost.raft import Configuration, Entry, EntryKind, Message, codec

# Pairs of fields that are told as one position, index:term.
_PAIRS = {
    "prev": ("prev_index", "prev_term"),
    "last": ("last_index", "last_term"),
    "committed": ("commit_index", "commit_term"),
    "hint": ("hint_index", "hint_term"),
    "at": ("index", "index_term"),
}
_KINDS = {str(kind.__struct_config__.tag): kind for kind in codec.KINDS.values()}


class ScenarioError(Exception):
    """A scenario's text makes no sense; the text says which line."""


def kind_of(message: Message) -> str:
    """The word for a kind of message."""
    return str(type(message).__struct_config__.tag)


def node_id(word: str) -> int:
    """The id in n1."""
    if not re.fullmatch(r"n\d+", word):
        raise ScenarioError(f"{word!r} is no node")
    return int(word[1:])


def position(word: str) -> tuple[int, int]:
    """Index and term of 4:3."""
    index, _, term = word.partition(":")
    return int(index), int(term or 0)


def read_entry(word: str) -> Entry:
    """The entry in 4:3 (an empty one) or 4:3:payload."""
    index, term, *payload = word.split(":")
    kind = EntryKind.NORMAL if payload else EntryKind.EMPTY
    return Entry(int(index), int(term), kind, "".join(payload).encode())


def show_entry(entry: Entry) -> str:
    """An entry as text."""
    if entry.kind is EntryKind.CONFIGURATION:
        return f"{entry.index}:{entry.term}:change"
    if not entry.payload:
        return f"{entry.index}:{entry.term}"
    text = entry.payload.decode()
    short = text if len(text) <= 12 else f"{text[:4]}…{len(text)}"
    return f"{entry.index}:{entry.term}:{short}"


def show_nodes(nodes: tuple[int, ...]) -> str:
    """A list of nodes as text."""
    return "(" + " ".join(f"n{it}" for it in nodes) + ")"


def show_message(message: Message) -> str:
    """A message as a `step` command would have it, without the sender."""
    fields: dict[str, Any] = {
        name: getattr(message, name) for name in type(message).__struct_fields__ if name != "sender"
    }
    words = [kind_of(message)]
    if not fields["term"]:
        del fields["term"]
    for pair, (index, term) in _PAIRS.items():
        if index in fields and term in fields:
            fields[pair] = f"{fields.pop(index)}:{fields.pop(term)}"
    if fields.get("session") == 0:
        del fields["session"]
    for name, value in fields.items():
        if isinstance(value, bool):
            words += [name.removeprefix("is_")] if value else []
        elif name == "entries":
            words += [f"entries=({' '.join(map(show_entry, value))})"] if value else []
        elif isinstance(value, Configuration):
            words.append(f"configuration={show_nodes(value.all_nodes())}")
        else:
            shown = f"n{value}" if name == "target" else value
            words.append(f"{name.removesuffix('_index')}={shown}")
    return " ".join(words)


def make_message(kind: str, flags: list[str], named: dict[str, str]) -> Message:
    """A message from the words of a `step` command."""
    if kind not in _KINDS:
        raise ScenarioError(f"{kind!r} is no kind of message")
    made = _KINDS[kind]
    fields: dict[str, Any] = {"sender": node_id(named.pop("from"))}
    for name, value in named.items():
        if name in _PAIRS and set(_PAIRS[name]) <= set(made.__struct_fields__):
            fields |= zip(_PAIRS[name], position(value), strict=True)
        elif name == "entries":
            fields[name] = tuple(read_entry(it) for it in value.strip("()").split())
        elif name == "configuration":
            fields[name] = Configuration(
                version=1, voters=tuple(node_id(it) for it in value.strip("()").split())
            )
        elif name == "target":
            fields[name] = node_id(value)
        else:
            known = made.__struct_fields__
            fields[name if name in known else f"{name}_index"] = int(value)
    known_flags = {"granted": "is_granted", "transfer": "is_transfer"}
    for flag, name in known_flags.items():
        if name in made.__struct_fields__:
            fields[name] = flag in flags
    if unknown := set(flags) - set(known_flags):
        raise ScenarioError(f"nobody knows {', '.join(sorted(unknown))}")
    if "session" in made.__struct_fields__:
        fields.setdefault("session", 0)
    return made(**fields)
