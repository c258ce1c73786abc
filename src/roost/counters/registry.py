"""What is decided about those who count, for all of them at once: pure functions of what is known.

Who counts under which name, which folds there are and what was purged are facts of the replicated
store: an operation there decides by these functions, and what it writes is what every member
carries out (`upkeep`).  What members report of themselves is what is durable with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roost.counters.errors import OwnerRefused, PurgeRefused, RetireRefused
from roost.counters.standing import Digest


@dataclass(frozen=True, slots=True)
class Registered:
    """Who counts, or has counted, under a name."""

    name: str
    epoch: bytes
    is_retired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a member says of itself (`upkeep.report`): how far it has heard each owner.

    That is the newest version at which it had all of it: what it had heard up to a later one may
    lack what has changed again since.  Of itself it is its end.
    """

    epoch: bytes
    heard: Mapping[bytes, int]
    digests: Mapping[bytes, Digest]
    # Folds that have begun there, and whose beginning is durable.
    folds: frozenset[bytes] = frozenset()
    folds_ended: frozenset[bytes] = frozenset()
    # Owners that are away for good, of whom it has all that any other member has; durable, too.
    unions: frozenset[bytes] = frozenset()


def admit(known: Sequence[Registered], name: str, epoch: bytes) -> Registered:
    """Who wants to count under a name.

    Raises:
        OwnerRefused: the name is or was another one's, or the epoch has another name.

    """
    for it in known:
        if it.name == name and it.epoch != epoch:
            raise OwnerRefused(f"the name {name!r} is {it.epoch.hex()}'s, and never another one's")
        if it.epoch == epoch and (it.name != name or it.is_retired):
            what = "was retired" if it.is_retired else "counts already"
            raise OwnerRefused(f"{epoch.hex()} {what}, under the name {it.name!r}")
    return Registered(name, epoch)


def _name(known: Sequence[Registered], epoch: bytes) -> str:
    return next((it.name for it in known if it.epoch == epoch), epoch.hex())


def purge_proof(
    known: Sequence[Registered], reports: Mapping[bytes, Report], *, is_forced: bool = False
) -> dict[bytes, int]:
    """Up to which version of each owner everybody has heard it: below that may be purged.

    Forced, whoever has not reported is left out: what it lacks may come back with it until its
    partners have replaced what it has.

    Raises:
        PurgeRefused: somebody who counts has not reported.

    """
    members = [it for it in known if not it.is_retired]
    missing = [it.name for it in members if it.epoch not in reports]
    if missing and not is_forced:
        raise PurgeRefused(f"not known of {', '.join(missing)}: how far they have heard the others")
    among = [reports[it.epoch] for it in members if it.epoch in reports]
    if not among:
        raise PurgeRefused("nobody has reported")
    owners = sorted({epoch for it in among for epoch in it.heard})
    return {epoch: min(it.heard.get(epoch, 0) for it in among) for epoch in owners}


def lacking(
    known: Sequence[Registered], reports: Mapping[bytes, Report], wanted: Mapping[bytes, int]
) -> list[str]:
    """Who has not heard whom up to `wanted`, in words; empty = nobody lacks anything."""
    found = []
    for member in known:
        if member.is_retired:
            continue
        report = reports.get(member.epoch)
        for epoch, version in wanted.items():
            held = 0 if report is None else report.heard.get(epoch, 0)
            if held < version:
                owner = _name(known, epoch)
                found.append(f"{member.name} has heard {owner} up to {held}, not {version}")
    return found


def may_begin_fold(
    known: Sequence[Registered], dead: Sequence[bytes], reports: Mapping[bytes, Report]
) -> None:
    """Whether all have the same parts of owners that are away for good.

    Raises:
        RetireRefused: they have not, or one of them is not away.

    """
    alive = [it for it in known if not it.is_retired and it.epoch not in dead]
    missing = [it.name for it in alive if it.epoch not in reports]
    if missing:
        raise RetireRefused(f"not known of {', '.join(missing)}: what they have")
    for epoch in dead:
        if epoch in reports:
            raise RetireRefused(f"{_name(known, epoch)} is there: it reports")
        late = [it.name for it in alive if epoch not in reports[it.epoch].unions]
        if late:
            name = _name(known, epoch)
            raise RetireRefused(f"{', '.join(late)} has not got what others have of {name} yet")
        digests = [reports[it.epoch].digests.get(epoch) for it in alive]
        if any(it != digests[0] for it in digests):
            raise RetireRefused(f"of {_name(known, epoch)} not all have the same parts yet")


def fold_barrier(
    known: Sequence[Registered], fold: bytes, reports: Mapping[bytes, Report]
) -> dict[bytes, int]:
    """Up to which version of each member everybody has to hear it before a fold may end.

    Raises:
        RetireRefused: somebody does not know of the fold yet.

    """
    members = [it for it in known if not it.is_retired]
    late = [
        it.name for it in members if it.epoch not in reports or fold not in reports[it.epoch].folds
    ]
    if late:
        raise RetireRefused(f"{', '.join(late)} has not begun the fold")
    return {it.epoch: reports[it.epoch].heard.get(it.epoch, 0) for it in members}


def may_forget_fold(
    known: Sequence[Registered], fold: bytes, reports: Mapping[bytes, Report]
) -> None:
    """Whether a fold has ended everywhere.

    Raises:
        RetireRefused: it has not.

    """
    members = [it for it in known if not it.is_retired]
    late = [
        it.name
        for it in members
        if it.epoch not in reports or fold not in reports[it.epoch].folds_ended
    ]
    if late:
        raise RetireRefused(f"{', '.join(late)} has not ended the fold")
