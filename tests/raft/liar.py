"""Storms in which one node also lies: what it says is decodable, and otherwise anything.

It is greeted and has a vote, so that agreement is not to be had against it, and is not checked.
What is: whatever it says ends no node.  A message is handled, or is its sender's fault, and then
nothing has changed.
"""

import random
from collections import deque
from collections.abc import Mapping
from enum import Enum
from types import GetSetDescriptorType
from typing import Any

from roost.errors import PeerFault
from roost.raft import (
    COUNT_MAX,
    Configuration,
    Core,
    Entry,
    EntryKind,
    Message,
    codec,
    encode_change,
)
from roost.raft.messages import (
    AppendEntries,
    ReadIndexRequest,
    SnapshotOffer,
    TransferRequest,
)
from roost.sim.cores.cores import Flying
from roost.sim.cores.storm import Storm

# Not the core's state: settings, chance, and the disk, which the core only reads.
_OUTSIDE = ("config", "dice", "_storage")


def _compiled_names(value: Any) -> list[str]:
    """The attributes of an object of a compiled class, which has no dictionary."""
    held = [it for kind in type(value).__mro__ for it in vars(kind).items()]
    return [name for name, it in held if isinstance(it, GetSetDescriptorType) and name[:2] != "__"]


def image(value: Any) -> Any:
    """What an object is, all the way down, to be compared."""
    if isinstance(value, int | bytes | str | float | Enum | None):
        return value
    if isinstance(value, list | tuple | deque):
        return [image(it) for it in value]
    if isinstance(value, Mapping):
        return [(image(key), image(it)) for key, it in value.items()]
    names = (
        getattr(value, "__slots__", ()) or getattr(value, "__dict__", ()) or _compiled_names(value)
    )
    if hasattr(value, "__struct_fields__"):
        names = value.__struct_fields__
    return [(name, image(getattr(value, name))) for name in names if name not in _OUTSIDE]


class LyingStorm(Storm):
    """One seed's storm; node 1 lies."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._damage_odds = 0.0
        self._acts = self._draw_acts()
        self.liar = random.Random(-seed)
        self.overheard: list[bytes] = []
        self.handled = self.refused = 0

    def run_lying(self, steps: int) -> None:
        """Go on for so many steps; the seed says how often it lies."""
        interval = (3, 10, 40, 150)[self.seed % 4]
        for step in range(steps):
            self.step_randomly()
            if step % interval == 0:
                self.lie()

    def check(self) -> None:
        """Nothing is promised beside a liar, but that nodes go on."""

    def _check_promise(self, sender: int, to: int, message: Message) -> None:
        pass

    def deliver(self, position: int) -> None:
        """A message arrives; who broke the rules is told apart before anything has changed."""
        sender, to, body = self.flying.pop(position)
        self.overheard.append(body)
        if (sender, to) in self.cut or to in self.down or to not in self.nodes:
            return
        core = self.nodes[to].core
        try:
            message = codec.decode(body)
        except PeerFault:
            return
        if message.sender != sender:
            return  # a link carries the messages of one node
        before = image(core) if self.liar.random() < 0.1 else None
        try:
            core.step(message)
        except PeerFault:
            self.refused += 1
            assert before is None or image(core) == before, f"{message} was refused, and changed it"
            return
        self.handled += 1
        self.collect(self.nodes[to])

    def lie(self) -> None:
        """Node 1 says something to somebody."""
        to = self.liar.choice([it for it in self.nodes if it not in self.down])
        is_made = not self.overheard or self.liar.random() < 0.5
        body = self._made(self.nodes[to].core) if is_made else self._mutated()
        self.flying.append(Flying(1, to, body))
        self.deliver(len(self.flying) - 1)

    def _mutated(self) -> bytes:
        """Something that was said, in node 1's name, with some bits turned."""
        del self.overheard[:-50]
        body = bytearray(self.liar.choice(self.overheard))
        body[1:9] = (1).to_bytes(8, "big")
        for _ in range(self.liar.choice((0, 1, 1, 2, 3))):
            body[self.liar.randrange(len(body))] ^= 1 << self.liar.randrange(8)
        return bytes(body)

    def _made(self, core: Core) -> bytes:
        """Any message, of numbers near those that matter to `core`."""
        kind = codec.KINDS[self.liar.choice(sorted(codec.KINDS))]
        if kind is AppendEntries:
            return b"".join(codec.encode(self._append(core)))
        fields: dict[str, Any] = {it: self._number(core) for it in kind.__struct_fields__}
        for name in fields:
            if name.endswith("term"):
                fields[name] = self._term(core)
            elif name.startswith("is_"):
                fields[name] = self.liar.choice((False, True))
        if kind in (ReadIndexRequest, TransferRequest):
            fields["term"] = 0
        if kind is SnapshotOffer:
            fields["configuration"] = self._configuration(1)
        return b"".join(codec.encode(kind(**{**fields, "sender": 1})))

    def _append(self, core: Core) -> AppendEntries:
        """Entries that follow each other, behind a place that matters."""
        log, pick = core.log, self.liar.choice
        prev_index = pick((log.last_index, log.commit_index, log.commit_index + 1, 0))
        prev_term = (log.term_at(prev_index) or 0) + pick((0,) * 9 + (1,))
        term = max(self._term(core), prev_term)
        terms = sorted(pick((term, max(prev_term, 1))) for _ in range(pick((0, 1, 2, 5))))
        entries = []
        for index, it in enumerate(terms, prev_index + 1):
            kind, payload = pick(list(EntryKind)), b"a lie"
            if kind is EntryKind.CONFIGURATION:
                payload = encode_change(self._configuration(index), b"")
            entries.append(Entry(index, it, kind, payload))
        session = pick((0, 0, core.config.life, self._number(core)))
        commit_index = self._number(core)
        return AppendEntries(term, 1, prev_index, prev_term, commit_index, tuple(entries), session)

    def _configuration(self, version: int) -> Configuration:
        nodes = self.liar.sample(range(1, 9), 3)
        return Configuration(version=version, voters=tuple(sorted(nodes)))

    def _term(self, core: Core) -> int:
        near = (core.term, core.term, core.term, core.term + 1, core.term - 1, core.log.last_term)
        return max(1, self.liar.choice((*near, 1, COUNT_MAX)))

    def _number(self, core: Core) -> int:
        log, pick = core.log, self.liar.choice
        near = pick((0, 1, log.last_index, log.commit_index, log.applied_index, log.first_index))
        far = pick((2, 7, core.state.reads.newest_token, core.config.life, COUNT_MAX))
        return max(0, pick((near, near, near + 1, near - 1, far)))
