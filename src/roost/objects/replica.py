"""One copy of a machine, and what it has carried out: no clock, no device, no waiting.

The same commands, in order, make the same copy.  What shows that they did is a chain of digests:
each is of the one before, the command, and what came of it.  The chain begins anew every ERA
commands, so that a difference that a program has brought about, and a later one has not, is not
held against it for ever.  Whoever leads writes with a command what its own copy had come to, and
all others compare (`Row.checked_index`).

A copy that cannot go on has stopped, and says why: a command that nobody knows is never skipped.

Full?  DIGESTS_MAX of the chain are kept, so a leader that is further behind than that is not
compared with.  KEPT_MAX results are kept for whoever asks again, KEPT_BYTES_MAX of them; the oldest
go first.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from roost.database import Refused, UnknownOperation
from roost.objects.errors import (
    CommandFailed,
    CommandUnknown,
    MachineDiffers,
    MachineStopped,
)
from roost.objects.layouts.machines import Kept, Row, Snapshot
from roost.objects.machine import Context, Declared, Machine
from roost.outcome import PROGRAM_FAULTS, code_of, in_words, text_of

ERA = 1024
DIGESTS_MAX = 8192
DIGEST_BYTES = 8
KEPT_MAX, KEPT_BYTES_MAX = 10_000, 4 << 20
# Of a kept result, besides its bytes.
_KEPT_BYTES = 64
_ENCODE = msgspec.msgpack.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command: `content` is what it returned, on its way, or it was refused."""

    row: Row
    said: Kept


class Replica:
    """A copy; see the module."""

    def __init__(self, name: str, declared: Declared, member: str) -> None:
        """New: no command was carried out; `member` is whose copy it is."""
        self.name = name
        self.declared = declared
        self.machine: Machine = declared.kind()
        self.applied_index = 0
        self.stopped: MachineStopped | None = None
        self._member = member
        self._digest = b""
        self._digests: deque[bytes] = deque(maxlen=DIGESTS_MAX)
        self._agreed_index = 0
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._kept_bytes = 0

    @property
    def digest(self) -> bytes:
        """What came of all commands so far."""
        return self._digest

    @property
    def kept(self) -> dict[int, Kept]:
        """Results that are kept, oldest first."""
        return dict(self._kept)

    def result_of(self, index: int) -> Kept | None:
        """The result of a command, if it is kept."""
        return self._kept.get(index)

    def go_on_from(self, snapshot: Snapshot, kept: dict[int, Kept]) -> None:
        """The machine has been loaded from a snapshot: nothing else was carried out yet."""
        assert self.applied_index == 0, "it is new"
        self.applied_index, self._digest = snapshot.index, snapshot.digest
        self._agreed_index = snapshot.index
        for index, it in kept.items():
            self._keep(index, it)

    def stop(self, error: MachineStopped) -> None:
        """It cannot go on."""
        assert self.stopped is None, "it stops once"
        self.stopped = error

    def carry_out(self, row: Row) -> Done | None:
        """Do the next command; None when that has stopped it."""
        assert self.stopped is None, "it has not stopped"
        index = self.applied_index + 1
        if not self._agrees(row, index):
            return None
        command = self.declared.commands.get(row.command)
        if command is None:
            kind = self.declared.kind.__name__
            self._stop(CommandUnknown, index, row, f"{kind} has no command of that name")
            return None
        try:
            result = command.carry_out(self.machine, context_of(row, index), row.body)
            said, shown = Kept(command.content(result)), _ENCODE(result)
        except UnknownOperation as error:
            self._stop(CommandUnknown, index, row, str(error))
            return None
        except Refused as refusal:
            said = Kept(b"", is_refusal=True, text=text_of(refusal), code=code_of(refusal))
            shown = _ENCODE(said)
        except KeyboardInterrupt:
            raise
        except PROGRAM_FAULTS as error:  # it is the program's, and ends this copy only
            self._stop(CommandFailed, index, row, in_words(error), error)
            return None
        self.applied_index = index
        if row.is_kept:
            self._keep(index, said)
        return Done(row, said) if self._chain(row, index, shown) else None

    def _chain(self, row: Row, index: int, shown: bytes) -> bool:
        """Another digest; whether it could be made."""
        before = b"" if index % ERA == 1 else self._digest
        try:
            found = self.machine.fingerprint()
            if not isinstance(found, bytes | int):
                raise TypeError(f"it is bytes or a number, and no {type(found).__name__}")
            parts = _ENCODE((before, index, row.command, row.body, shown, found))
        except KeyboardInterrupt:
            raise
        except PROGRAM_FAULTS as error:  # as in a command
            self._stop(CommandFailed, index, row, f"fingerprint: {in_words(error)}", error)
            return False
        self._digest = blake2b(parts, digest_size=DIGEST_BYTES).digest()
        self._digests.append(self._digest)
        return True

    def _digest_at(self, index: int) -> bytes | None:
        """What came of the commands up to `index`; None when that is not known any more."""
        back = self.applied_index - index
        return self._digests[-1 - back] if 0 <= back < len(self._digests) else None

    def _agrees(self, row: Row, index: int) -> bool:
        """Whether a leader's copy had come to what ours had come to."""
        at = row.checked_index
        ours = self._digest_at(at)
        if at <= self._agreed_index or ours is None or row.version != self.declared.kind.version:
            return True
        if ours == row.digest:
            self._agreed_index = at
            return True
        text = (f"this member, {self._member}, and {row.member} have come to other results: they "
                f"agreed up to command {self._agreed_index}, and do not at {at}. A command of "
                f"{self.declared.kind.__name__} does not do the same everywhere: mend "
                "it, and give the class another `version`")  # fmt: skip
        self._stop(MachineDiffers, index, row, text)
        return False

    def _stop(
        self,
        kind: type[MachineStopped],
        index: int,
        row: Row,
        why: str,
        cause: BaseException | None = None,
    ) -> None:
        error = kind(f"the machine {self.name!r} has stopped at command {index}, {row.command!r}: "
                     f"{why}; start the members again with a program that "
                     "is mended, and it goes on from its last snapshot")  # fmt: skip
        error.__cause__ = cause
        self.stop(error)

    def _keep(self, index: int, said: Kept) -> None:
        self._kept[index] = said
        self._kept_bytes += _bytes_of(said)
        while len(self._kept) > KEPT_MAX or self._kept_bytes > KEPT_BYTES_MAX:
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= _bytes_of(gone)


def _bytes_of(said: Kept) -> int:
    return _KEPT_BYTES + len(said.content) + len(said.text)


def context_of(row: Row, index: int) -> Context:
    """What the command at `index` may know."""
    return Context(
        index=index,
        term=row.term,
        commit_index=row.commit_index,
        member=row.member,
        at_s=row.at_s,
        seed=row.call,
    )


def answer_of(command: Any, said: Kept) -> Any:  # Any: what the command returns
    """What a caller is told.

    Raises:
        Refused: the command said no.

    """
    if said.is_refusal:
        raise Refused(said.text, code=said.code)
    return command.result(said.content)
