"""Links to members of other clusters, as all members know them: rows of `facts`.

    counters.link     have a link to a URL, of one member or of all; asked twice it is one
    counters.unlink   have none to it any more
    counters.meet     somebody of another cluster has told of itself: what it is called

What a member counts goes by its own links only; what it has heard of others goes by those that
relay.  While there are links nobody's parts are folded (`facts.Facts.is_linked`): a delete of
another cluster names the parts that its deleter has seen, and not what they became.

Full?  LINKS_MAX, and as many foreigners as may count here; others have no name, and count.
"""

import re
from collections.abc import Callable

import msgspec

from roost.counters import facts
from roost.counters.facts import INVALID, PRECONDITION, Foreigner, Link, Stage
from roost.counters.messages import FOREIGN_NAME_CHARACTERS_MAX
from roost.counters.rows import EPOCH_BYTES
from roost.database import model
from roost.database.model import Txn
from roost.errors import ModelRefused, Refused
from roost.outcome import Outcome

LINK, UNLINK, MEET = "counters.link", "counters.unlink", "counters.meet"
LINKS_MAX, URL_CHARACTERS_MAX = 64, 512
# No name or password in it, and no path: those are ours.
_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[0-9a-zA-Z_.-]+)(:[0-9]{1,5})?/?")
_PORT_MAX = 65535


class LinkAsked(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where to; of whom, empty = of all; whether it relays."""

    url: str
    source: str = ""
    is_relay: bool = False


def operations() -> dict[str, Callable[[Txn, bytes], bytes]]:
    """Operations by their names."""
    return {LINK: _link, UNLINK: _unlink, MEET: _meet}


def foreign_name(name: str, cluster: str) -> str:
    """What who counts under a name is called in other clusters."""
    return f"{name}@{cluster}" if cluster else name


def is_url(url: str) -> bool:
    """Whether a link may lead there."""
    if len(url) > URL_CHARACTERS_MAX or (found := _URL.fullmatch(url)) is None:
        return False
    return found[2] is None or 0 < int(found[2][1:]) <= _PORT_MAX


def _link(txn: Txn, body: bytes) -> bytes:
    """Operation: have a link."""
    asked = facts.read_asked(body, LinkAsked)
    held = facts.held_by(txn)
    url = asked.url.rstrip("/")
    if not is_url(url):
        raise ModelRefused(
            INVALID, f"{asked.url!r} is no URL of a client port, as https://host:2379"
        )
    if asked.source and held.of_name(asked.source) is None:
        raise ModelRefused(PRECONDITION, f"nobody counts under the name {asked.source!r}")
    if held.current_fold is not None and held.current_fold.stage is not Stage.UNITING:
        raise ModelRefused(PRECONDITION, "somebody is being retired: ask again when that has ended")
    same = next((it for it in held.links if (it.url, it.source) == (url, asked.source)), None)
    if same is not None and same.is_relay == asked.is_relay:
        return b""
    if len(held.links) >= LINKS_MAX:
        raise ModelRefused(PRECONDITION, f"there are {LINKS_MAX} links: remove one")
    number = held.link_number + 1
    made = Link(number=number, url=url, source=asked.source, is_relay=asked.is_relay)
    others = tuple(it for it in held.links if it is not same)
    return facts.write(
        txn, msgspec.structs.replace(held, links=(*others, made), link_number=number)
    )


def _unlink(txn: Txn, body: bytes) -> bytes:
    """Operation: have no link; of one source, or of any."""
    asked = facts.read_asked(body, LinkAsked)
    held = facts.held_by(txn)
    url = asked.url.rstrip("/")
    left = tuple(
        it for it in held.links if it.url != url or (asked.source and it.source != asked.source)
    )
    if len(left) == len(held.links):
        raise ModelRefused(PRECONDITION, f"there is no such link to {asked.url!r}")
    return facts.write(txn, msgspec.structs.replace(held, links=left))


def _meet(txn: Txn, body: bytes) -> bytes:
    """Operation: note what somebody of another cluster is called, unless another one is."""
    asked = facts.read_asked(body, Foreigner)
    held = facts.held_by(txn)
    is_name = 0 < len(asked.name) <= FOREIGN_NAME_CHARACTERS_MAX and asked.name.isprintable()
    if len(asked.epoch) != EPOCH_BYTES or not is_name:
        raise ModelRefused(INVALID, f"counters: nobody is called {asked.name!r}")
    if held.foreigner(asked.epoch) is not None or held.of_epoch(asked.epoch) is not None:
        return b""
    if held.of_name(asked.name) or any(it.name == asked.name for it in held.foreigners):
        raise ModelRefused(PRECONDITION, f"counters: {asked.name!r} is another one's name")
    if len(held.foreigners) >= facts.OWNERS_MAX:
        raise ModelRefused(
            PRECONDITION, f"counters: {facts.OWNERS_MAX} of other clusters are known"
        )
    return facts.write(txn, msgspec.structs.replace(held, foreigners=(*held.foreigners, asked)))


class Meeting:
    """Has foreigners known by their names: one member's, one at a time."""

    def __init__(self, replica: model.Replica) -> None:
        """Register the operations."""
        self._replica = replica
        self._is_asking = False
        # Whose name was refused: they count under their epochs.
        self._nameless: set[bytes] = set()
        for name, operation in operations().items():
            replica.register(name, operation)

    def look(self, held: facts.Facts, met: dict[bytes, str]) -> None:
        """Have somebody known who is not; whoever gets no answer asks again."""
        if self._is_asking or not self._replica.leader_id:
            return
        for epoch, name in list(met.items()):
            if epoch not in self._nameless and held.foreigner(epoch) is None:
                self._ask(Foreigner(name=name, epoch=epoch))
                return
            del met[epoch]  # until it says so again

    def _ask(self, asked: Foreigner) -> None:
        self._is_asking = True

        def done(outcome: Outcome) -> None:
            self._is_asking = False
            if isinstance(outcome, Refused):
                self._nameless.add(asked.epoch)

        self._replica.transact_nowait(MEET, facts.encode(asked), done)
