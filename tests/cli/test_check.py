"""`roost check`: puts at a pace are judged as etcdctl judges them, and nothing is left behind."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from roost.cli.check import check
from roost.cli.check.load import Load, Measured, put_all
from roost.cli.exits import EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE
from roost.cli.main import main
from roost.client import Client, ClientError, Unreachable
from roost.client import aio as aio_client
from roost.testing.cluster import Cluster

LOAD = Load(50, 100, 1000)


def measured(
    *took_s: float, elapsed_s: float = 1.0, busy: float = 0.1, failed: int = 0
) -> Measured:
    error = Unreachable("UNAVAILABLE", "nobody is there") if failed else None
    return Measured(list(took_s), failed, error, elapsed_s, busy)


def test_what_is_measured_is_what_it_says() -> None:
    it = measured(*(n / 1000 for n in range(1, 101)), elapsed_s=2)
    assert (it.per_second, round(it.mean_s, 4)) == (50, 0.0505)
    assert (it.within_s(0.5), it.within_s(0.99), it.within_s(1)) == (0.05, 0.099, 0.1)
    assert round(it.deviation_s, 4) == 0.0289
    nothing = measured(elapsed_s=0)
    assert (nothing.per_second, nothing.mean_s, nothing.deviation_s, nothing.within_s(1)) == (
        0,
    ) * 4


@pytest.mark.parametrize(
    ("it", "bad"),
    [
        (measured(*100 * [0.01]), []),
        (measured(*89 * [0.01]), ["pace"]),
        (measured(*100 * [0.01], 0.6), ["slowest"]),
        (measured(*50 * [0.01], *50 * [0.3]), ["deviation"]),
        (measured(*100 * [0.01], failed=1), ["failed"]),
    ],
)
def test_a_pace_that_is_not_kept_fails_by_its_name(it: Measured, bad: list[str]) -> None:
    verdicts = check.judge_perf(LOAD, it)
    assert [row.name for row in verdicts if not row.is_good] == bad


def test_a_client_that_is_the_slow_one_is_told_so() -> None:
    said = check.judge_perf(LOAD, measured(*50 * [0.01], busy=0.95))[0].said
    assert "this client computed all the time" in said


@dataclass
class Counting:
    """A client that puts nowhere, and fails now and then."""

    now: int = 0
    most: int = 0
    keys: list[bytes] = field(default_factory=list)

    async def put(self, key: bytes, value: bytes) -> None:
        assert len(value) == 3
        self.now += 1
        self.most = max(self.most, self.now)
        turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()
        self.now -= 1
        self.keys.append(key)
        if key == b"7":
            raise Unreachable("UNAVAILABLE", "nobody is there")


def test_every_key_is_put_once_by_no_more_clients_than_there_are() -> None:
    client = Counting()
    noted: list[int] = []
    put = put_all(
        cast("aio_client.Client", client),
        Load(5, 0, 100),
        lambda it: b"%d" % it,
        b"abc",
        noted.append,
    )
    it = asyncio.run(put)
    assert sorted(client.keys) == sorted(b"%d" % n for n in range(100))
    assert client.most == 5
    assert (len(it.took_s), it.failed_count, noted[-1]) == (99, 1, 99)
    assert "nobody is there" in str(it.first_trouble)


def test_a_put_that_was_refused_is_told_with_the_next_step() -> None:
    full = ClientError("RESOURCE_EXHAUSTED", "etcdserver: too many requests")
    refused = Measured([0.1], failed_count=2, first_trouble=full, elapsed_s=1.0)
    (verdict,) = (it for it in check.judge_perf(LOAD, refused) if it.name == "failed")
    assert not verdict.is_good
    assert verdict.said.startswith("2, the first: etcdserver: too many requests: nothing of it ran")


def test_whoever_finds_it_slow_is_told_where_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    for took_s, is_slow in ((0.01, False), (0.8, True)):
        it = measured(*100 * [took_s])
        verdicts = check.judge_perf(LOAD, it)
        if is_slow:
            with pytest.raises(SystemExit):
                check._say(it, verdicts, {}, as_json=False)
        else:
            check._say(it, verdicts, {}, as_json=False)
        assert ("docs/how-to/slow.md#slow" in capsys.readouterr().out) is is_slow


def roost(*arguments: str) -> Result:
    command = arguments if arguments[0] == "bench" else ("check", *arguments)
    return CliRunner().invoke(main, command)


def row(said: Result) -> dict[str, Any]:
    assert said.exit_code in (0, EXIT_FAILED), said.output
    found: dict[str, Any] = json.loads(said.stdout)
    return found


@pytest.mark.slow
@pytest.mark.cluster
def test_a_cluster_is_asked_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_DATASCALE", {"s": (20, 300)})
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        at = f"--endpoints={cluster.endpoints[0]}"
        it = row(roost("perf", at, "--seconds=1", "--timeout=30", "--json"))
        assert (it["puts"], it["failed"], it["wanted_per_second"]) == (150, 0, 150)
        assert 0 < it["p50_ms"] <= it["p99_ms"] <= it["slowest_ms"]
        it = row(roost("datascale", at, "--timeout=30", "--json"))
        assert (it["puts"], it["passed"]) == (300, True)
        (member,) = it["members"]
        assert member["endpoint"] == cluster.endpoints[0]
        assert min(member["store_bytes"], member["memory_bytes"]) > 0
        said = roost("datascale", at, "--timeout=30")
        assert "MEMORY BEFORE" in said.output
        it = row(roost("bench", at, "--puts=200", "--value-bytes=10", "--timeout=30", "--json"))
        assert (it["puts"], it["clients"], it["value_bytes"], it["passed"]) == (200, 10, 10, True)
        assert it["per_second"] > 0
        with Client(cluster.endpoints, timeout_s=20) as client:
            assert client.count(b"\0", b"\0") == 0
            client.put("roost-check-perf/1", "somebody's")
        refused = roost("perf", at, "--seconds=1")
        assert (refused.exit_code, "--prefix names another" in refused.output) == (
            EXIT_REFUSED, True,
        )  # fmt: skip
        assert roost("perf", at, "--prefix=").exit_code == EXIT_USAGE
