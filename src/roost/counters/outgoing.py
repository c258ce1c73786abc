"""One link: what this member tells one partner of its own registers, and when.

    ASKING      "what is the last that you have heard of me?"
    SENDING     changes behind that, a message at a time, each when the one before is acknowledged
    REPLACING   all of its registers, by pages: the partner has missed what is not there any more,
                or what it has is something else
    REFUSED     the partner does not believe that this is who it says; somebody has to look

A link that relays has one of these for each other owner, too, by what is here of it.

Where a message is not answered in ANSWER_S, or a link breaks, it begins anew with the question,
later and later by chance up to RETRY_S_MAX, and at once when the partner is known to be up.
Messages and answers may be lost, doubled or late: what the partner says it has heard counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from roost.counters import sending
from roost.counters.messages import (
    Compare,
    Head,
    Heard,
    Hello,
    Message,
    PageTaken,
    Purpose,
    Refused,
)
from roost.counters.store import Store

ANSWER_S = 2.0
# Of members of another cluster, which may be far away.
FAR_ANSWER_S = 10.0
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
COMPARE_S = 60.0


class Stage(Enum):
    """What a link does."""

    ASKING = "asking"
    SENDING = "sending"
    REPLACING = "replacing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """What a link says of itself; `behind_s`: how long ago the partner last had everything."""

    stage: Stage
    position: int
    behind_s: float
    last_error: str


class Outgoing:
    """One link, sans I/O.  `dice` gives numbers by chance, from 0 to 1."""

    def __init__(
        self,
        store: Store,
        dice: Callable[[], float],
        now_s: float,
        *,
        owner: int | None = None,
        is_far: bool = False,
        name: str = "",
    ) -> None:
        """Begin by asking; `owner` is who is relayed, `name` what it is called elsewhere."""
        self._store = store
        self._dice = dice
        self.owner = owner
        self._is_far = is_far
        self._answer_s = FAR_ANSWER_S if is_far else ANSWER_S
        self._name = name
        # Whether the partner has said that this directory is not what it knows of it.
        self.is_forked = False
        self.stage = Stage.ASKING
        self.position = 0
        self._answer_by_s: float | None = None
        self._retry_at_s = now_s
        self._failures = 0
        self._level_at_s = now_s
        self._compared_at_s = now_s
        # Of pages being sent: how far this member was before the first, and where to go on.
        self._base = 0
        self._after = b""
        self.last_error = ""

    def status(self, now_s: float) -> LinkStatus:
        """What can be said of it."""
        is_level = self.position >= sending.durable_version(self._store, self.owner)
        return LinkStatus(
            stage=self.stage,
            position=self.position,
            behind_s=0.0 if is_level else now_s - self._level_at_s,
            last_error=self.last_error,
        )

    @property
    def is_level(self) -> bool:
        """Whether the partner has everything."""
        is_sending = self.stage is Stage.SENDING
        return is_sending and self.position >= sending.durable_version(self._store, self.owner)

    def on_up(self, now_s: float) -> None:
        """The partner is known to be up: try at once."""
        if self.stage is not Stage.REFUSED:
            self._begin_again(now_s)
            self._failures = 0

    def call(self, name: str, now_s: float) -> None:
        """Tell the partner what an owner is called, which was not known before."""
        self._name = name
        self.on_up(now_s)

    def on_down(self, now_s: float, reason: str) -> None:
        """What was sent may not have come; the question is asked again, later."""
        if self.stage is not Stage.REFUSED:
            self.last_error = reason
            self._failures += 1
            wait_s = min(RETRY_S_MAX, RETRY_S_MIN * 2 ** min(self._failures, 10))
            self._begin_again(now_s + wait_s * (0.5 + self._dice() / 2))

    def on_unsent(self, now_s: float) -> None:
        """There is no way to the partner: look again soon, which costs next to nothing."""
        if self.stage is not Stage.REFUSED:
            self.last_error = "not connected"
            self._begin_again(now_s + RETRY_S_MIN)

    def _begin_again(self, at_s: float) -> None:
        self.stage = Stage.ASKING
        self._answer_by_s = None
        self._retry_at_s = at_s

    def next_message(self, now_s: float) -> Message | None:
        """What is to be sent now; None = nothing, or an answer is waited for.

        Raises:
            CounterStoreError: what is to be told cannot be read.

        """
        if self._answer_by_s is not None:
            if now_s < self._answer_by_s:
                return None
            self.on_down(now_s, f"no answer in {self._answer_s:g} s")
        if self.stage is Stage.REFUSED or now_s < self._retry_at_s:
            return None
        found = self._message(now_s)
        if found is not None and not isinstance(found, Compare):
            self._answer_by_s = now_s + self._answer_s
        return found

    def _message(self, now_s: float) -> Message | None:
        store, owner = self._store, self.owner
        if self.stage is Stage.ASKING:
            return self._hello()
        if self.stage is Stage.SENDING:
            since = sending.told_since(store, owner)
            if self.position >= since:
                changes = sending.changes_after(store, self.position, owner)
                return changes or self._comparison(now_s)
            if sending.durable_level(store, owner) < since:
                return None  # nor is all of it here
            # What it lacks may be gone here without a trace.
            self._begin_replacing()
        heads = [Head(self._epoch, self._base)]
        return sending.page(store, Purpose.REPLACE, self._after, heads, self._epoch)

    @property
    def _epoch(self) -> bytes:
        return self._store.epoch if self.owner is None else self._store.owners.epochs[self.owner]

    def _hello(self) -> Hello:
        opening = self._store.opening
        version = sending.durable_version(self._store, self.owner)
        if self.owner is not None:
            # Nobody but the owner itself knows of its openings; ours tells answers apart.
            return Hello(
                epoch=self._epoch,
                version=version,
                opening=0,
                nonce=opening.nonce,
                name=self._name,
                is_relayed=True,
            )
        return Hello(
            epoch=self._epoch,
            version=version,
            opening=opening.number,
            nonce=opening.nonce,
            began=opening.began,
            nonces=opening.nonces,
            name=self._name,
        )

    def _comparison(self, now_s: float) -> Compare | None:
        self._level_at_s = now_s
        # What is not durable yet is in the digest already.
        store = self._store
        if self.owner is None:
            is_still = store.version == self.position
        else:
            heard = store.heard.get(self.owner)
            is_still = heard is None or heard.version in (0, self.position)
            is_still &= sending.durable_level(store, self.owner) == self.position > 0
        if now_s - self._compared_at_s < COMPARE_S or not is_still:
            return None
        self._compared_at_s = now_s
        digest = store.digest(self._epoch)
        return Compare(
            epoch=self._epoch,
            version=self.position,
            count=digest.count,
            values=digest.values,
            versions=digest.versions,
        )

    def compare_soon(self) -> None:
        """Compare as soon as the partner has everything, and not in a while."""
        self._compared_at_s = -COMPARE_S

    def _begin_replacing(self) -> None:
        self.stage = Stage.REPLACING
        # Of another owner not more is here than that, for sure.
        self._base, self._after = sending.durable_level(self._store, self.owner), b""

    def on_heard(self, heard: Heard, now_s: float) -> None:
        """The partner has heard up to there.

        Raises:
            OwnerForked: that is more than there is here.

        """
        if self.owner is None:
            self._store.check_echo(heard.version)
        if self.stage is Stage.REFUSED:
            return
        if self.stage is Stage.ASKING and heard.nonce != self._store.opening.nonce:
            return  # it answers what an earlier opening asked, whom the partner may not know yet
        self.stage = Stage.SENDING
        self.position = heard.version
        self._answer_by_s, self._retry_at_s, self._failures = None, now_s, 0
        self.last_error = ""

    def on_page_taken(self, taken: PageTaken) -> None:
        """A page is there; on with the next."""
        if self.stage is Stage.REPLACING and taken.base == self._base:
            self._after = taken.until
            self._answer_by_s, self._failures = None, 0

    def on_differs(self) -> None:
        """The partner has something else: it gets everything."""
        if self.stage is Stage.SENDING:
            self._begin_replacing()
            self._answer_by_s = None

    def on_refused(self, refused: Refused) -> None:
        """The partner does not believe us; nothing is sent any more.

        What it says of an earlier opening of this directory was late.
        """
        ours = (self._store.opening.number, self._store.opening.nonce)
        if refused.opening == 0 or (refused.opening, refused.nonce) == ours:
            # Elsewhere a link may be refused for many reasons; that it is a copy only for this one.
            self.is_forked = not self._is_far or refused.opening != 0
            self.stage = Stage.REFUSED
            self.last_error = refused.text
