"""What requests to counters need rights to, and who is asked."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from roost.call import Caller
from roost.errors import RoostError
from roost.outcome import settle_future

# Before the name of a counter: the key of which somebody must have the right.
KEYS: Final = "counters/"
# Names whose rights are looked up in one turn (D14).
ASKED_A_TURN: Final = 500


@dataclass(frozen=True, slots=True)
class Needed:
    """Rights to keys, or to all that begin so; or it is root's alone."""

    keys: Sequence[bytes] = ()
    prefix: bytes | None = None
    is_write: bool = False
    is_roots: bool = False


class Rights(Protocol):
    """Who may do what."""

    def admit(
        self,
        caller: Caller,
        needed: Needed,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Call `allowed` when the caller may, else `refused`; one of them, once."""


def of_names(names: Sequence[str], *, is_write: bool = False) -> Needed:
    """Rights to some counters."""
    keys = [(KEYS + it).encode("utf-8", "surrogatepass") for it in names]
    return Needed(keys=keys, is_write=is_write)


def of_prefix(prefix: str) -> Needed:
    """Rights to read all counters that begin so."""
    return Needed(prefix=(KEYS + prefix).encode("utf-8", "surrogatepass"))


# To all counters: of who tells what another cluster has counted.
OF_LINKS = Needed(prefix=KEYS.encode(), is_write=True)
OF_ROOT = Needed(is_roots=True)


def who(caller: Caller) -> str:
    """Who asks, for the audit: by his certificate and by where he comes from, as far as known."""
    name = caller.certificate_name or ("somebody with a token" if caller.token else "somebody")
    return f"{name} at {caller.address or 'an unknown place'}"


async def wait_admitted(rights: Rights, caller: Caller, needed: Needed) -> None:
    """Return when the caller may.

    Raises:
        RoostError: it may not, or nobody can say so.

    """
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    rights.admit(
        caller,
        needed,
        lambda: settle_future(future, None),
        lambda error: settle_future(future, error),
    )
    await future


async def wait_admitted_to(
    rights: Rights, caller: Caller, names: Sequence[str], *, is_write: bool = False
) -> None:
    """Return when the caller may have all of these counters; of many it is asked over turns.

    Raises:
        RoostError: as `wait_admitted`.

    """
    for at in range(0, len(names), ASKED_A_TURN):
        if at:
            await asyncio.sleep(0)
        needed = of_names(names[at : at + ASKED_A_TURN], is_write=is_write)
        await wait_admitted(rights, caller, needed)
