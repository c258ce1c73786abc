"""How long points are kept, and what is summed up of them: rules for a series, or for a tag.

    tree "series.policies"   b"s", key of a series' name    -> MessagePack array of a `Policy`
                             b"t", key of a tag's rows      -> the same

A series' own rule counts, else the longest of those of its tags: what two people want kept for
different times is kept for the longer one, points and sums each.  What is older is deleted, points
and what is summed up of them, by a deletion like all others; in steps, a STEPS_A_KEEP-th of the
time that it is kept, so that a series is not written anew for each point that has become too old.

Where sums are kept for longer, a series is thinned instead (`effects.Thinning`), to the beginning
of a day, and deletions of sums end at one: so no row is ever half, and what is told to be kept for
30 days is kept for up to 31, or by a 32nd longer.  What comes later for a time before the horizon
is dropped, as what is too old is everywhere: a sum has no place for it that could be found again.

What is deleted nobody brings back, and a clock may be wrong: one that says 2099 would have all
points deleted.  So it is not believed to be further than AHEAD_NS ahead of the newest point of all
series that have a rule.  Where nobody writes to any of them, what is newest stays.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import msgspec

from roost.database import Refused, Transaction
from roost.series.draft import Bytes, Row
from roost.series.effects import Deletion, Thinning
from roost.series.errors import BAD_POLICY
from roost.series.head import State
from roost.series.levels import DAY_NS
from roost.series.names import Info, Tag, decode_info, tag_prefix
from roost.series.records import DELETIONS_MAX
from roost.series.spelling import series_text
from roost.series.tables import TIME_MIN
from roost.series.trees import Trees

POLICIES_TREE = "series.policies"
POLICIES_MAX = 1000
STEPS_A_KEEP = 32
PAGE_SERIES = 128
AHEAD_NS = DAY_NS


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """Points older than `keep_ns` go; their sums when they are older than `sums_ns`, too.

    None is for ever.  Sums are never gone before their points.
    """

    keep_ns: int
    sums_ns: int | None = 0

    @property
    def keeps_sums_longer(self) -> bool:
        """Whether there is a time of which there are sums and no points."""
        return self.sums_ns is None or self.sums_ns > self.keep_ns


@dataclass(frozen=True, slots=True)
class Old:
    """What is older than its rule, of some series: what goes whole, and of what sums stay."""

    deletions: list[Deletion] = field(default_factory=list)
    thinnings: list[Thinning] = field(default_factory=list)


_decoder = msgspec.msgpack.Decoder(Policy)


def of_series(key: bytes) -> bytes:
    """The key of the rule of a series, by its name's key."""
    return b"s" + key


def of_tag(given: Tag) -> bytes:
    """The key of the rule of a tag."""
    return b"t" + tag_prefix(given)


def target_of(key: bytes) -> tuple[str, str]:
    """What a rule is for, from its key: "series" or "tag", and how people write it."""
    parts = key[1:].decode().rstrip("\0").split("\0")
    pairs = [Tag(*it.split("\1", 1)) for it in (parts if key[:1] == b"t" else parts[1:])]
    if key[:1] == b"t":
        return "tag", pairs[0].text
    return "series", series_text(parts[0], pairs)


async def rules_of(policies: Bytes) -> list[tuple[bytes, Policy]]:
    """All rules, by what they are for."""
    rows = await _page(policies, b"", POLICIES_MAX)
    return [(key, _decoder.decode(row)) for key, row in rows]


def keep(txn: Transaction, target: bytes, policy: Policy | None) -> None:
    """Set the rule of `of_series` or `of_tag`, or remove it.

    Raises:
        Refused: BAD_POLICY, it keeps nothing, is for nothing, or there are too many.

    """
    tree = txn.tree(POLICIES_TREE)
    if policy is None:
        tree.discard(target)
        return
    if policy.keep_ns < 1 or (policy.sums_ns or 0) < 0 or target[:1] not in (b"s", b"t"):
        raise Refused("a rule keeps something of a series or a tag", code=BAD_POLICY)
    if target not in tree and tree.count() >= POLICIES_MAX:
        raise Refused(f"{POLICIES_MAX} rules are the most", code=BAD_POLICY)
    tree[target] = msgspec.msgpack.encode(policy)


async def too_old(trees: Trees, policies: Bytes, now_ns: int) -> AsyncGenerator[Old, None]:
    """What is older than its rules allow, of all series; DELETIONS_MAX of a kind at a time."""
    rules = dict(await rules_of(policies))
    if not rules:
        return
    now_ns = await _believed(trees, rules, now_ns)
    async for page in _ruled(trees, rules):
        found = Old()
        for it in page:
            _look(found, it, now_ns)
        if found.deletions or found.thinnings:
            yield found


@dataclass(frozen=True, slots=True)
class _Ruled:
    """A series that has a rule."""

    sid: int
    state: State
    policy: Policy


def _look(found: Old, ruled: _Ruled, now_ns: int) -> None:
    """Look at one series."""
    sid, state, policy = ruled.sid, ruled.state, ruled.policy
    keep_ns, sums_ns = policy.keep_ns, policy.sums_ns
    horizon = now_ns - keep_ns
    if not policy.keeps_sums_longer:
        if state.first < horizon - keep_ns // STEPS_A_KEEP:
            found.deletions.append(Deletion(sid, TIME_MIN, horizon))
        return
    horizon = horizon // DAY_NS * DAY_NS
    if max(state.first, state.horizon) < horizon - keep_ns // STEPS_A_KEEP:
        found.thinnings.append(Thinning(sid, horizon))
    if sums_ns is not None:
        horizon = (now_ns - sums_ns) // DAY_NS * DAY_NS
        if state.first < horizon - sums_ns // STEPS_A_KEEP:
            found.deletions.append(Deletion(sid, TIME_MIN, horizon))


async def _believed(trees: Trees, rules: dict[bytes, Policy], now_ns: int) -> int:
    """What the clock says, as far as points bear it out; as a rule the first pages do."""
    newest_ns = TIME_MIN
    async for page in _ruled(trees, rules):
        newest_ns = max([newest_ns, *(it.state.last for it in page)])
        if newest_ns + AHEAD_NS >= now_ns:
            return now_ns
    return newest_ns + AHEAD_NS


async def _ruled(trees: Trees, rules: dict[bytes, Policy]) -> AsyncGenerator[list[_Ruled], None]:
    """All series that have a rule, some at a time."""
    first = b""
    while True:
        page = await _page(trees.info, first, PAGE_SERIES)
        found = []
        for key, row in page:
            policy = _policy(decode_info(row), rules)
            if policy is not None:
                sid = int.from_bytes(key, "big")
                found.append(_Ruled(sid, await trees.read_state(sid), policy))
        yield found
        if len(page) < PAGE_SERIES:
            return
        first = page[-1][0] + b"\0"


def _policy(info: Info, rules: dict[bytes, Policy]) -> Policy | None:
    own = rules.get(of_series(info.key))
    if own is not None:
        return own
    tags = sorted(info.found_by)
    return longest(rules[of_tag(it)] for it in tags if of_tag(it) in rules)


def longest(given: Iterable[Policy]) -> Policy | None:
    """The rule that keeps what any of these does; None for none."""
    found: Policy | None = None
    for it in given:
        if found is None:
            found = it
            continue
        sums_ns = None
        if found.sums_ns is not None and it.sums_ns is not None:
            sums_ns = max(found.sums_ns, it.sums_ns)
        found = Policy(max(found.keep_ns, it.keep_ns), sums_ns)
    return found


async def _page(tree: Bytes, first: bytes, limit: int) -> list[Row]:
    return [it async for part in tree.pages(first=first, limit=limit) for it in part]


assert PAGE_SERIES <= DELETIONS_MAX, "what is found of a page is one record of each kind"
