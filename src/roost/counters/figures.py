"""The figures of one member's counters."""

from collections.abc import Callable, Iterator

from roost.counters.counting import Counting
from roost.counters.facts import Stage
from roost.counters.outgoing import LinkStatus
from roost.counters.ports import State
from roost.counters.status import lacking
from roost.figures import Figure, Sample


def _is_open(counting: Counting) -> int:
    return int(counting.state is State.OPEN)


def _count(counting: Counting) -> int:
    return counting.store.trees.count("parts") if _is_open(counting) and counting.store else 0


def _size(counting: Counting) -> int:
    return counting.store.trees.bytes_used() if _is_open(counting) and counting.store else 0


def _links(read: Callable[[LinkStatus], float]) -> Callable[[Counting], Iterator[Sample]]:
    def samples(counting: Counting) -> Iterator[Sample]:
        if counting.exchange is None or not _is_open(counting):
            return
        now_s = counting.around.clock_s()
        for partner, link in sorted(counting.exchange.links.items()):
            to = counting.partner_name(partner)
            yield Sample(read(link.status(now_s)), (("To", to),))

    return samples


def _backlogs(counting: Counting) -> Iterator[Sample]:
    for partner, found in lacking(counting).items():
        yield Sample(found.count, (("To", counting.partner_name(partner)),))


def _share(counting: Counting) -> float:
    """How much of what its seed has is here; 1 = all, and so it is where nothing is fed."""
    if counting.exchange is None or not _is_open(counting):
        return 0.0
    return counting.exchange.joining.progress().share


def _alarms(counting: Counting) -> Iterator[Sample]:
    for it in counting.alarms.on:
        yield Sample(1, (("Alarm", it.alarm), ("Of", counting.partner_name(it.member_id))))


FIGURES: tuple[Figure[Counting], ...] = (
    Figure(
        "roost_counters_open",
        "gauge",
        "Whether this member counts; 0 = nobody has counted yet, or it has stopped (see the log).",
        _is_open,
    ),
    Figure("roost_counters", "gauge", "Counters that are known here.", _count),
    Figure("roost_counters_bytes", "gauge", "Bytes that they take on the disk.", _size),
    Figure(
        "roost_counters_requests_total",
        "counter",
        "Requests to change counters.",
        lambda it: it.counts.requests,
    ),
    Figure(
        "roost_counters_refused_total",
        "counter",
        "Requests to change counters that were refused.",
        lambda it: it.work.refused_count,
    ),
    Figure(
        "roost_counters_changes_total",
        "counter",
        "Single changes in those requests.",
        lambda it: it.counts.changes,
    ),
    Figure(
        "roost_counters_syncs_total",
        "counter",
        "Steps made durable, each by one sync, for all that came in meanwhile.",
        lambda it: it.counts.steps,
    ),
    Figure(
        "roost_counters_waiting",
        "gauge",
        "Requests to change counters that have no answer yet.",
        lambda it: it.work.waiting_count,
    ),
    Figure(
        "roost_counters_rows_sent_total",
        "counter",
        "Rows sent to other members.",
        lambda it: it.counts.rows_sent,
    ),
    Figure(
        "roost_counters_rows_received_total",
        "counter",
        "Rows received from other members.",
        lambda it: it.counts.rows_received,
    ),
    Figure(
        "roost_counters_received_bytes_total",
        "counter",
        "Bytes of what other members have said of their counters.",
        lambda it: it.counts.bytes_received,
    ),
    Figure(
        "roost_counters_fed_ratio",
        "gauge",
        "How much of what its seed has a new member has got, from 0 to 1; 1 on all others.",
        _share,
    ),
    Figure(
        "roost_counters_alarms",
        "gauge",
        "Alarms about counters of other members that are on: COUNTERS_BEHIND, COUNTERS_DIVERGE.",
        _alarms,
    ),
    Figure(
        "roost_counters_folds_unfinished",
        "gauge",
        "Members that were retired, and whose counts are not one part everywhere yet.",
        lambda it: sum(fold.stage is not Stage.ENDED for fold in it.known.facts.folds),
    ),
    Figure(
        "roost_counters_messages_dropped_total",
        "counter",
        "Messages of other members that there was no room for; they come again.",
        lambda it: it.counts.messages_dropped,
    ),
    Figure(
        "roost_counters_divergences_total",
        "counter",
        "Times that another member had something else than its owner; it is sent all again.",
        lambda it: 0 if it.exchange is None else it.exchange.differed_count,
    ),
    Figure(
        "roost_counters_backlog_rows",
        "gauge",
        "Counters that a member has not been told of, or has not acknowledged; 1000 = as many"
        " at least.",
        _backlogs,
    ),
    Figure(
        "roost_counters_behind_seconds",
        "gauge",
        "How long ago a member last had everything of this one; 0 = it has.",
        _links(lambda it: it.behind_s),
    ),
)
