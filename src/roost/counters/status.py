"""What one member's counters say of themselves: for operators, as values that JSON has."""

from typing import Any

from roost.counters import sending
from roost.counters.counting import Counting
from roost.counters.environment import TREES
from roost.counters.ports import State
from roost.counters.sending import Backlog

# Rows of a backlog that are counted for somebody who asks (D14); of more it says that there are.
BACKLOG_COUNT_MAX = 1000


def statistics(counting: Counting) -> dict[str, Any]:
    """Sizes, rates and how far it has come."""
    said: dict[str, Any] = {
        "name": counting.name,
        "state": counting.state.value,
        "error": "" if counting.error is None else counting.known.facts.named(str(counting.error)),
        "requests": counting.counts.requests,
        "refused": counting.work.refused_count,
        "changes": counting.counts.changes,
        "steps": counting.counts.steps,
        "rows_sent": counting.counts.rows_sent,
        "rows_received": counting.counts.rows_received,
        "bytes_received": counting.counts.bytes_received,
        "alarms": [
            {"alarm": it.alarm, "member": counting.partner_name(it.member_id)}
            for it in counting.alarms.on
        ],
    }
    store, exchange = counting.store, counting.exchange
    if store is None or exchange is None or counting.state is not State.OPEN:
        return said
    now_s = counting.around.clock_s()
    feeding = counting.seeding.feeding(exchange, now_s)
    progress = feeding.progress
    count, size = store.trees.count("parts"), store.trees.bytes_used()
    return said | {
        "epoch": store.epoch.hex(),
        "phase": progress.phase.value,
        "share": progress.share,
        "seed": feeding.seed,
        "rows_fed": progress.rows_count,
        "rows_fed_a_second": feeding.rows_a_second,
        "left_s": feeding.left_s,
        "version": store.version,
        "counters": count,
        "bytes": size,
        "bytes_a_counter": size / count if count else 0.0,
        "rows": {it: store.trees.count(it) for it in TREES},
        "idempotency_keys": store.requests.count,
        "divergences": exchange.differed_count,
        "purge": counting.known.facts.purge_number,
    }


def retirement(counting: Counting, name: str) -> dict[str, Any]:
    """How far a member that is away for good has become a fold."""
    found = counting.known.facts
    owner = found.of_name(name)
    fold = None if owner is None else found.fold_of(owner.epoch)
    said: dict[str, Any] = {"name": name, "stage": "" if fold is None else fold.stage.name.lower()}
    if fold is not None and fold.proof:
        said["proof"] = {found.name_of(epoch): it for epoch, it in fold.proof.items()}
    return said


def topology(counting: Counting) -> dict[str, Any]:
    """Who counts, and where clients find those that are ready."""
    urls = {it.id: it.client_urls for it in counting.replica.members()}
    nodes = [
        retirement(counting, it.name)
        | {
            "name": it.name,
            "epoch": it.epoch.hex(),
            "member": f"{it.member_id:x}",
            "standing": it.standing.value,
            "ready": it.is_ready,
            "client_urls": list(urls.get(it.member_id, ())) if it.is_ready else [],
        }
        for it in counting.known.facts.owners
    ]
    return {"nodes": nodes}


def lacking(counting: Counting) -> dict[int, Backlog]:
    """What each other member has not acknowledged, counted up to a bound."""
    store, exchange = counting.store, counting.exchange
    if store is None or exchange is None or counting.state is not State.OPEN:
        return {}
    positions = {partner: link.position for partner, link in exchange.links.items()}
    found = sending.backlogs(store, positions.values(), BACKLOG_COUNT_MAX)
    return {partner: found[position] for partner, position in positions.items()}


def decided_links(counting: Counting) -> list[dict[str, Any]]:
    """Links to other clusters, of whichever member."""
    return [
        {"url": it.url, "from": it.source, "relay": it.is_relay}
        for it in counting.known.facts.links
    ]


def links(counting: Counting) -> dict[str, Any]:
    """What this member tells each other one, and how far that is."""
    exchange = counting.exchange
    decided = {"decided": decided_links(counting)}
    if exchange is None or counting.state is not State.OPEN:
        return {"links": [], **decided}
    backlogs = lacking(counting)
    names = {it.id: it.name for it in counting.replica.members()}
    now_s = counting.around.clock_s()
    found = []
    for partner, link in sorted(exchange.links.items()):
        said, backlog = link.status(now_s), backlogs[partner]
        found.append(
            {
                "member": f"{partner:x}" if partner > 0 else "",
                "name": names.get(partner, "") or counting.partner_name(partner),
                "relayed": _relayed(counting, partner),
                "stage": said.stage.value,
                "position": said.position,
                "backlog": backlog.count,
                "backlog_is_more": backlog.is_more,
                "behind_s": said.behind_s,
                "error": counting.known.facts.named(said.last_error),
            }
        )
    return {"links": found, **decided}


def _relayed(counting: Counting, partner: int) -> list[dict[str, Any]]:
    """Of which other owners a link tells, and how far."""
    exchange = counting.exchange
    if exchange is None:
        return []
    name_of = counting.known.facts.name_of
    return [
        {
            "owner": name_of(place[1]),
            "stage": it.stage.value,
            "position": it.position,
            "error": counting.known.facts.named(it.last_error),
        }
        for place, it in exchange.relays.items()
        if place[0] == partner
    ]
