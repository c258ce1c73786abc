"""Whether a running cluster is well, by what it says of itself."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from roost.cli.doctor.asking import Answer, Seen
from roost.cli.doctor.row import Row, failed, ok, size_of, skipped, warned
from roost.client import Status
from roost.runbook import place_of
from roost.settings.urls import is_local

# How many entries a member may be behind in what it has applied.
LAG_ENTRIES_MAX = 1000
# Certificates and tokens are that near to each other in time; a date has whole seconds.
CLOCK_OFF_S_MAX = 2.0
QUOTA_PART_MAX = 0.8
_QUOTA = "etcd_server_quota_backend_bytes"
_QUEUE_REFUSED = "roost_queue_refused_total"
_MEMORY_IS_SHORT, _SYNC_MS = "roost_memory_is_short", "roost_journal_sync_milliseconds"
SYNC_MS_MAX = 10.0
_ALARMS = {
    "NOSPACE": "`roost compact REVISION`, `roost defrag`, then `roost alarm disarm`",
    "CORRUPT": "`roost hashkv` at all endpoints shows who differs",
    "LOST_ENTRIES": "its disk has lost what it acknowledged",
}


def cluster_rows(seen: Seen) -> Iterator[Row]:
    """All that is to be said of a cluster."""
    names = {it.id: it.name for it in seen.members or ()}
    places = {url: it.name for it in seen.members or () for url in it.client_urls}
    for answer in seen.answers:
        yield judge_answer(answer, names, places)
    statuses = [it.status for it in seen.answers if it.status is not None]
    if not statuses:
        return
    yield judge_leader(statuses, names)
    yield from _member_rows(seen, statuses)
    yield judge_versions(statuses)
    yield judge_lag(statuses, names)
    yield from _learner_rows(statuses, names)
    yield from _alarm_rows(seen, names)
    yield judge_logins(seen)
    yield judge_clocks(seen.answers)
    for answer in seen.answers:
        yield from _figure_rows(answer)


def judge_answer(answer: Answer, names: dict[int, str], places: dict[str, str]) -> Row:
    """Whether an endpoint answers; `places` are the members' names by their client URLs."""
    check = f"endpoint {answer.endpoint}"
    said = answer.status
    if said is None:
        name = places.get(answer.endpoint, "")
        who = f"{name} does not answer: " if name else ""
        text = "start it; where it runs: its log, its --listen-client-urls, what is between"
        if answer.asks_who:
            who, text = "", "ask as a user with the role root: --user NAME, or --cert and --key"
        return failed(check, f"{who}{answer.trouble}", text)
    name = names.get(said.member_id) or "a member without a name"
    found = f"{name} ({said.member_id:x}), answered in {answer.took_ms:.0f} ms"
    if said.errors:
        text = "`roost alarm list`, and what is said of alarms here"
        return warned(check, f"{found}: {'; '.join(said.errors)}", text)
    return ok(check, found, took_ms=round(answer.took_ms, 3), member_id=f"{said.member_id:x}")


def judge_leader(statuses: Sequence[Status], names: dict[int, str]) -> Row:
    """Whether all know the same leader."""
    leaders = {it.leader_id for it in statuses if it.leader_id}
    if not leaders:
        text = "fewer than a majority run, or reach each other: start the others, see their logs"
        return failed("leader", "nobody leads: there are no writes", text)
    lost = [names.get(it.member_id, f"{it.member_id:x}") for it in statuses if not it.leader_id]
    if lost:
        text = "see their logs, and whether their peer ports reach the others"
        return warned("leader", f"{', '.join(lost)} knows none", text)
    if len(leaders) > 1:
        said = ", ".join(sorted(names.get(it) or f"{it:x}" for it in leaders))
        text = "ask again: an election may be going on; else these are several clusters"
        return warned("leader", f"members name different ones: {said}", text)
    [leader] = leaders
    term = max(it.term for it in statuses)
    return ok("leader", f"{names.get(leader) or f'{leader:x}'} in term {term}", term=term)


def _member_rows(seen: Seen, statuses: Sequence[Status]) -> Iterator[Row]:
    if seen.members is None:
        yield skipped("members", seen.troubles.get("members", "nobody lists them"))
        return
    there = {it.member_id for it in statuses}
    for it in seen.members:
        if not it.name:
            text = "start it as `roost member add` has said, or `roost member remove` it"
            yield warned("members", f"{it.id:x} ({', '.join(it.peer_urls)}) never started", text)
        elif not it.client_urls and it.id not in there:
            text = "start it; where it runs, name it in --endpoints, too"
            found = f"{it.name} was not asked: it has never told where clients find it"
            yield failed("members", found, text)
    foreign = there - {it.id for it in seen.members}
    if foreign:
        said = ", ".join(f"{it:x}" for it in sorted(foreign))
        text = "these --endpoints are not of one cluster"
        yield failed("members", f"{said} answers, and is no member of the others' cluster", text)
    voters = [it for it in seen.members if not it.is_learner]
    yield judge_majority(len([it for it in voters if it.id in there]), len(voters))


def judge_majority(there: int, voters: int) -> Row:
    """How many may still fail."""
    needed = voters // 2 + 1
    spare = there - needed
    found = f"{there} of {voters} voters answer, {needed} are needed"
    if spare < 0:
        text = "start those that are down; lost for good: `roost serve --force-new-cluster`"
        return failed("majority", found, text, there=there, voters=voters)
    if there < voters:
        more = f"{spare} more may fail" if spare else "no other may fail"
        text = "start those that are down, or `roost member replace` what is lost for good"
        return warned("majority", f"{found}: {more}", text, there=there, voters=voters)
    if voters % 2 == 0:
        text = "add one, or remove one: as many may fail then, or more"
        return warned("majority", f"{found}: an even number", text, there=there, voters=voters)
    return ok("majority", f"{found}: {spare} may fail", there=there, voters=voters)


def judge_versions(statuses: Sequence[Status]) -> Row:
    """Whether all say the same; it is the version of etcd's interface, which is all they tell."""
    versions = sorted({it.version for it in statuses})
    if len(versions) > 1:
        text = "end the upgrade: one member after the other, the leader last"
        return warned("versions of members", ", ".join(versions), text)
    return ok("versions of members", f"all speak etcd's {versions[0]}")


def judge_lag(statuses: Sequence[Status], names: dict[int, str]) -> Row:
    """Whether somebody is behind in what it has applied."""
    newest = max(it.index for it in statuses)
    lags = {it.member_id: newest - it.applied_index for it in statuses}
    worst = max(lags, key=lambda it: lags[it])
    if lags[worst] > LAG_ENTRIES_MAX:
        name = names.get(worst) or f"{worst:x}"
        text = "ask again; if it does not catch up: its disk, its network, its log"
        found = f"{name} is {lags[worst]} entries behind"
        return warned("lag", found, text, lag_entries=lags[worst])
    return ok("lag", f"{lags[worst]} entries at most", lag_entries=lags[worst])


def _learner_rows(statuses: Sequence[Status], names: dict[int, str]) -> Iterator[Row]:
    newest = max(it.index for it in statuses)
    for it in statuses:
        if it.is_learner:
            name = names.get(it.member_id) or f"{it.member_id:x}"
            lag = newest - it.applied_index
            if lag > LAG_ENTRIES_MAX:
                text = "wait until it has caught up; then `roost member promote`"
                yield warned("learner", f"{name} is {lag} entries behind", text, lag_entries=lag)
            else:
                found = f"{name} has caught up: `roost member promote {it.member_id:x}`"
                yield ok("learner", found, lag_entries=lag)


def _alarm_rows(seen: Seen, names: dict[int, str]) -> Iterator[Row]:
    if seen.alarms is None:
        yield skipped("alarms", seen.troubles.get("alarms", "nobody lists them"))
        return
    for it in seen.alarms:
        name = names.get(it.member_id) or f"{it.member_id:x}"
        what = f"{_ALARMS.get(it.kind, 'see its log')}: {place_of(it.kind)}"
        yield failed("alarms", f"{it.kind} at {name}", what)
    if not seen.alarms:
        yield ok("alarms", "none is raised")


def judge_logins(seen: Seen) -> Row:
    """Whether everybody who reaches the cluster may do everything."""
    check = "who clients are"
    if seen.has_logins is None:
        return skipped(check, seen.troubles.get("logins", "nobody says whether they log in"))
    if seen.has_logins:
        return ok(check, "they log in")
    hosts = {urlsplit(url).hostname or "" for it in seen.members or () for url in it.client_urls}
    if all(not it or is_local(it) for it in hosts):
        return ok(check, "nobody logs in, and only this machine reaches the members")
    text = "`roost auth enable` (docs/explanation/security.md), or certificates for clients"
    return warned(check, "nobody logs in: whoever reaches a member may do everything", text)


def judge_clocks(answers: Sequence[Answer]) -> Row:
    """Whether members' clocks are right, by ours."""
    check = "clocks of members"
    offs = {it.endpoint: it.clock_off_s for it in answers if it.clock_off_s is not None}
    if not offs:
        return skipped(check, "no member tells the time")
    worst = max(offs, key=lambda it: abs(offs[it]))
    off_s = offs[worst]
    if abs(off_s) > CLOCK_OFF_S_MAX:
        way = "ahead of" if off_s > 0 else "behind"
        text = "have chronyd, systemd-timesyncd or ntpd set it there, or here"
        found = f"{worst} is {abs(off_s):.0f} s {way} this machine"
        return warned(check, found, text, off_s=round(off_s, 1))
    silent = [it.endpoint for it in answers if it.status is not None and it.clock_off_s is None]
    more = f"; not told by {', '.join(silent)}" if silent else ""
    return ok(check, f"as this machine's, to a second or two{more}", off_s=round(off_s, 1))


def _figure_rows(answer: Answer) -> Iterator[Row]:
    if answer.status is None:
        return
    endpoint, figures = answer.endpoint, answer.figures
    if _QUOTA not in figures:
        yield skipped(f"store of {endpoint}", answer.reticence or "it does not tell its quota")
        return
    yield judge_store(endpoint, answer.status, int(figures[_QUOTA]))
    if figures.get(_MEMORY_IS_SHORT):
        where = place_of("memory is short")
        text = f"fewer or smaller requests at once, or a larger limit: {where}"
        yield warned(f"memory of {endpoint}", "short: new work is refused", text)
    if refused := int(figures.get(_QUEUE_REFUSED, 0)):
        text = f"send less at once, or wait for answers: {place_of('too many requests')}"
        found = f"{refused:,} requests were refused since it started: their clients had too many"
        yield warned(f"queue of {endpoint}", found, text, refused=refused)
    sync_ms = figures.get(_SYNC_MS, 0.0)
    if sync_ms > SYNC_MS_MAX:
        text = "`roost doctor` on that machine measures its disk; give the member one of its own"
        found = f"one takes {sync_ms:.1f} ms on average"
        yield warned(f"disk syncs of {endpoint}", found, text, sync_ms=round(sync_ms, 3))
    else:
        found = f"one takes {sync_ms:.2f} ms on average"
        yield ok(f"disk syncs of {endpoint}", found, sync_ms=round(sync_ms, 3))


def judge_store(endpoint: str, status: Status, quota_bytes: int) -> Row:
    """How far a store has grown."""
    check = f"store of {endpoint}"
    numbers = {"bytes": status.db_bytes, "in_use": status.db_bytes_in_use, "quota": quota_bytes}
    found = f"{size_of(status.db_bytes)}, {size_of(status.db_bytes_in_use)} in use"
    if not quota_bytes:
        return ok(check, f"{found}, without a quota", **numbers)
    part = status.db_bytes / quota_bytes
    found = f"{found}, {part:.0%} of the quota of {size_of(quota_bytes)}"
    if part < QUOTA_PART_MAX:
        return ok(check, found, **numbers)
    text = (
        "`roost compact` and `roost defrag`, or a larger --quota-backend-bytes: writes stop when "
        "it is reached"
    )
    return (warned if part < 1 else failed)(check, found, text, **numbers)
