"""The commands `roost check perf`, `roost check datascale` and `roost bench`."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from roost.cli.check.load import Load, Measured, put_all
from roost.cli.doctor.asking import Answer, look_at_cluster
from roost.cli.exits import EXIT_FAILED, EXIT_REFUSED
from roost.cli.progress import counted, progress
from roost.cli.shared import (
    Failed,
    bytes_of,
    client_options,
    connect,
    credentials,
    failed,
    say_json,
    say_table,
    size_of,
)
from roost.cli.troubles import refusal_of
from roost.client import Client
from roost.client import aio as aio_client
from roost.errors import RoostError

# As etcdctl has them (etcdctl: ctlv3/command/check.go): clients, and puts a second.
_PERF = {"s": (50, 150), "m": (200, 1_000), "l": (500, 8_000), "xl": (1_000, 15_000)}
_DATASCALE = {"s": (50, 10_000), "m": (200, 100_000), "l": (500, 1_000_000), "xl": (500, 3_000_000)}
# What passes there: nine tenths of the pace, none slower, and not more scattered.
_PACE_PART, _SLOWEST_S, _DEVIATION_S = 0.9, 0.5, 0.1
# From so much of a processor on it may be this client that is slow.
_BUSY_PART = 0.9
# What a member uses, as the limit of its memory counts it; only ours say so on that page.
_MEMORY = "roost_memory_used_bytes"
_DELETED_AT_ONCE = 10_000


@click.group()
def check() -> None:
    """Ask much of a cluster, and say whether it does it in time, and what it takes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something that was measured, and whether it is good enough."""

    name: str
    said: str
    is_good: bool


@check.command()
@client_options
@click.option(
    "--load",
    "name",
    type=click.Choice(list(_PERF)),
    default="s",
    show_default=True,
    help="s: 150 puts a second of 50 clients; m: 1,000 of 200; l: 8,000 of 500; xl: 15,000.",
)
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1, 3600))
@click.option("--prefix", default="roost-check-perf/", show_default=True, help="Of its keys.")
def perf(
    endpoints: str, timeout_s: float, name: str, seconds: int, prefix: str, *, as_json: bool
) -> None:
    r"""Put at a pace, and say whether the cluster keeps it; exit code 1 when it does not.

    Its keys are deleted in the end; their history stays until it is compacted.

    \b
    Example:
        roost check perf
        roost check perf --load m --seconds 10
    """
    clients, pace = _PERF[name]
    load = Load(clients, pace, pace * seconds)
    measured = _measure(endpoints, timeout_s, load, prefix, as_json=as_json)
    verdicts = judge_perf(load, measured)
    _say(
        measured,
        verdicts,
        {"load": name, "wanted_per_second": pace},
        as_json=as_json,
    )


def judge_perf(load: Load, measured: Measured) -> list[Verdict]:
    """What is to be said of puts at a pace."""
    wanted = load.per_second * _PACE_PART
    pace = f"{measured.per_second:,.0f} puts a second of {load.per_second:,}"
    if measured.per_second < wanted and measured.busy_part > _BUSY_PART:
        pace += "; this client computed all the time: ask from more machines, or faster ones"
    slowest, deviation = measured.within_s(1), measured.deviation_s
    return [
        Verdict("pace", pace, measured.per_second >= wanted),
        Verdict("slowest", f"{slowest * 1000:.1f} ms of {_SLOWEST_S * 1000:.0f}",
                slowest <= _SLOWEST_S),
        Verdict("deviation", f"{deviation * 1000:.1f} ms of {_DEVIATION_S * 1000:.0f}",
                deviation <= _DEVIATION_S),
        _failures(measured),
    ]  # fmt: skip


def _failures(measured: Measured) -> Verdict:
    error = measured.first_trouble
    said = f"{measured.failed_count}"
    if error is not None:
        said += f", the first: {refusal_of(error) or error}"
    return Verdict("failed", said, not measured.failed_count)


@check.command()
@client_options
@click.option(
    "--load",
    "name",
    type=click.Choice(list(_DATASCALE)),
    default="s",
    show_default=True,
    help="s: 10,000 keys of 1 KiB; m: 100,000; l: 1,000,000; xl: 3,000,000.",
)
@click.option("--prefix", default="roost-check-datascale/", show_default=True, help="Of its keys.")
def datascale(endpoints: str, timeout_s: float, name: str, prefix: str, *, as_json: bool) -> None:
    r"""Put many keys as fast as it goes, and say what they take on each member.

    Its keys are deleted in the end; their history stays until it is compacted.

    \b
    Example:
        roost check datascale --load m
    """
    clients, count = _DATASCALE[name]
    load = Load(clients, 0, count)
    before = _taken(endpoints, timeout_s)
    after: dict[str, Answer] = {}
    measured = _measure(
        endpoints,
        timeout_s,
        load,
        prefix,
        as_json=as_json,
        on_done=lambda client: after.update(_taken_of(client, timeout_s)),
    )
    members = [_growth(place, before.get(place), it) for place, it in sorted(after.items())]
    verdicts = [_failures(measured)]
    _say(measured, verdicts, {"load": name, "members": members}, as_json=as_json)


@click.command()
@client_options
@click.option(
    "--clients", default=10, show_default=True, type=click.IntRange(1, 1000), help="At once."
)
@click.option(
    "--puts", default=10_000, show_default=True, type=click.IntRange(1, 10_000_000), help="In all."
)
@click.option(
    "--value-bytes",
    default=100,
    show_default=True,
    type=click.IntRange(0, 1 << 20),
    help="Of each.",
)
@click.option("--prefix", default="roost-bench/", show_default=True, help="Of its keys.")
def bench(
    endpoints: str,
    timeout_s: float,
    clients: int,
    puts: int,
    value_bytes: int,
    prefix: str,
    *,
    as_json: bool,
) -> None:
    r"""Put as fast as it goes, and say how many a second; exit code 1 when one fails.

    Each client puts a key, waits for the answer, and puts the next one (etcd 0.4: /v2/speedTest).
    The keys are deleted in the end; their history stays until it is compacted.  `roost check perf`
    says whether a cluster keeps a pace.

    \b
    Example:
        roost bench
        roost bench --clients 100 --puts 50000
    """
    load = Load(clients, 0, puts, value_bytes)
    measured = _measure(endpoints, timeout_s, load, prefix, as_json=as_json)
    verdicts = [_failures(measured)]
    _say(measured, verdicts, {"clients": clients, "value_bytes": value_bytes}, as_json=as_json)


def _growth(place: str, before: Answer | None, after: Answer) -> dict[str, object]:
    """What a member had before and has now, in bytes; None where it does not say."""

    def store(it: Answer | None) -> int | None:
        return None if it is None or it.status is None else it.status.db_bytes

    def memory(it: Answer | None) -> int | None:
        held = None if it is None else it.figures.get(_MEMORY)
        return None if held is None else int(held)

    return {
        "endpoint": place,
        "store_bytes_before": store(before),
        "store_bytes": store(after),
        "memory_bytes_before": memory(before),
        "memory_bytes": memory(after),
    }


def _taken(endpoints: str, timeout_s: float) -> dict[str, Answer]:
    with connect(endpoints, timeout_s) as client:
        return _taken_of(client, timeout_s)


def _taken_of(client: Client, timeout_s: float) -> dict[str, Answer]:
    return {it.endpoint: it for it in look_at_cluster(client, timeout_s).answers}


def _measure(
    endpoints: str,
    timeout_s: float,
    load: Load,
    prefix: str,
    *,
    as_json: bool,
    on_done: Callable[[Client], None] = lambda _client: None,
) -> Measured:
    """Put, call `on_done` while the keys are there, and delete them."""
    first = bytes_of(prefix)
    if not first:
        raise click.BadParameter("an empty prefix is every key", param_hint="--prefix")
    with connect(endpoints, timeout_s) as client:
        if client.count(first, prefix=True):
            raise Failed(
                f"there are keys under {prefix}: `roost del {prefix} --prefix` deletes them, "
                "--prefix names another place",
                EXIT_REFUSED,
            )
        try:
            with progress("putting", as_json=as_json, say=counted("puts")) as shown:

                def note(done: int) -> None:
                    shown.note(done, load.count)

                measured = asyncio.run(_run(endpoints, timeout_s, load, first, note))
        except RoostError as error:
            raise failed(error) from error
        on_done(client)
        _delete(client, first, load.count)
    return measured


async def _run(
    endpoints: str, timeout_s: float, load: Load, prefix: bytes, note: Callable[[int], None]
) -> Measured:
    value = secrets.token_bytes(load.value_bytes)
    async with aio_client.Client(
        endpoints, timeout_s=timeout_s, credentials=credentials(), retries=False
    ) as client:
        return await put_all(client, load, lambda it: prefix + b"%010d" % it, value, note)


def _delete(client: Client, prefix: bytes, count: int) -> None:
    """Delete part by part: one large deletion takes longer than a call may."""
    for begin in range(0, count, _DELETED_AT_ONCE):
        stop = begin + _DELETED_AT_ONCE
        client.delete(prefix + b"%010d" % begin, prefix + b"%010d" % stop)


def _say(
    measured: Measured,
    verdicts: Sequence[Verdict],
    more: Mapping[str, object],
    *,
    as_json: bool,
) -> None:
    is_good = all(it.is_good for it in verdicts)
    if as_json:
        say_json(
            {
                **more,
                "puts": len(measured.took_s),
                "failed": measured.failed_count,
                "seconds": round(measured.elapsed_s, 3),
                "per_second": round(measured.per_second, 1),
                "mean_ms": round(measured.mean_s * 1000, 3),
                "p50_ms": round(measured.within_s(0.5) * 1000, 3),
                "p99_ms": round(measured.within_s(0.99) * 1000, 3),
                "slowest_ms": round(measured.within_s(1) * 1000, 3),
                "deviation_ms": round(measured.deviation_s * 1000, 3),
                "client_busy": round(measured.busy_part, 3),
                "passed": is_good,
            }
        )
    else:
        p50, p99 = measured.within_s(0.5) * 1000, measured.within_s(0.99) * 1000
        click.echo(
            f"{len(measured.took_s):,} puts in {measured.elapsed_s:.1f} s, "
            f"{measured.per_second:,.0f} a second; half of them within {p50:.1f} ms, "
            f"99 of 100 within {p99:.1f} ms"
        )
        for it in verdicts:
            click.echo(f"{'ok' if it.is_good else 'FAILED':<8}{it.name:<12}{it.said}")
        members = more.get("members")
        if isinstance(members, list):
            say_table(_rows_of(members), right=(1, 2, 3, 4))
        if not is_good:
            click.echo("do: what to look at, and what it means: docs/how-to/slow.md#slow")
    if not is_good:
        sys.exit(EXIT_FAILED)


def _rows_of(members: Sequence[Mapping[str, object]]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("ENDPOINT", "STORE BEFORE", "STORE", "MEMORY BEFORE", "MEMORY")]
    for it in members:
        sizes = [it[name] for name in ("store_bytes_before", "store_bytes",
                                       "memory_bytes_before", "memory_bytes")]  # fmt: skip
        rows.append(
            (str(it["endpoint"]), *(size_of(n) if isinstance(n, int) else "-" for n in sizes))
        )
    return rows
