"""`roost top`: rates between two looks, a line for each member, and the one that is silent."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.doctor.asking import Answer, Seen
from roost.cli.exits import EXIT_FAILED, EXIT_USAGE
from roost.cli.main import main
from roost.cli.top import COLUMNS, Rates, lines_of, spark
from roost.client import Alarm
from roost.testing.cluster import Cluster
from tests.cli.test_status import FOLLOWS, LEADS, member

PUTS = "etcd_mvcc_put_total"


def answer(endpoint: str, **figures: float) -> Answer:
    return Answer(endpoint=endpoint, status=LEADS, figures=figures)


def test_rates_are_what_was_counted_between_two_looks_on_all_members() -> None:
    rates = Rates()
    rates.look([answer("a", **{PUTS: 100}), answer("b", **{PUTS: 10})], 1.0)
    assert (rates.now, rates.has_looked) == ({}, True)
    rates.look([answer("a", **{PUTS: 130}), answer("b", **{PUTS: 20})], 3.0)
    assert rates.now["puts"] == 20
    assert rates.now["reads"] == 0
    # One began anew, one was not there before, one says nothing now.
    more: list[Mapping[str, float]] = [{PUTS: 5}, {}, {PUTS: 1000}]
    rates.look([answer(it, **said) for it, said in zip("abc", more, strict=True)], 5.0)
    assert rates.now["puts"] == 0
    for it in range(100):
        rates.look([answer("a", **{PUTS: 5 + 2 * it})], 7.0 + it)
    assert len(rates.history["puts"]) == 60
    assert rates.history["puts"][-1] == 2


def test_bars_are_as_high_as_what_they_stand_for() -> None:
    assert spark([]) == ""
    assert spark([0, 0]) == "▁▁"
    assert spark([0, 1, 7]) == "▁▂█"


def test_there_is_a_line_for_each_member_whether_it_answers_or_not() -> None:
    seen = Seen(
        answers=[
            Answer(
                endpoint=LEADS.endpoint,
                status=LEADS,
                took_ms=3,
                figures={"roost_memory_used_bytes": 2048, "etcd_debugging_mvcc_watcher_total": 7},
            ),
            Answer(endpoint=FOLLOWS.endpoint, status=FOLLOWS),
            Answer(endpoint="127.0.0.1:3", trouble="nobody listens"),
        ],
        members=[member(1, "m1"), member(2, "m2"), member(4, "")],
        alarms=[Alarm(2, "NOSPACE")],
    )
    lines = {it.cells[0] + it.cells[1]: it for it in lines_of(seen)}
    assert all(len(it.cells) == len(COLUMNS) for it in lines.values())
    leads = dict(zip(COLUMNS, lines["m1leader"].cells, strict=True))
    assert (leads["MEMORY"], leads["WATCHES"], leads["ANSWER"]) == ("2.0 KiB", "7", "3 ms")
    assert leads["DISK FREE"] == "-"
    follows = dict(zip(COLUMNS, lines["m2follower"].cells, strict=True))
    assert (follows["BEHIND"], follows["ALARMS"]) == ("50", "NOSPACE")
    assert lines["m2follower"].style == "bold red"
    assert lines["?silent"].cells[-1] == "nobody listens"
    assert "?never started" in lines


def test_without_rich_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    said = CliRunner().invoke(main, ["top", "--once"])
    assert (said.exit_code, "roost[terminal]" in said.output) == (EXIT_FAILED, True)
    assert CliRunner().invoke(main, ["top", "--json"]).exit_code == EXIT_USAGE


@pytest.mark.slow
@pytest.mark.cluster
def test_a_cluster_is_shown_with_its_rates(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        words = ["top", "--once", "--timeout=30", f"--endpoints={cluster.endpoints[0]}"]
        said = CliRunner(env={"COLUMNS": "200"}).invoke(main, words)
    assert said.exit_code == 0, said.output
    for text in ("1 of 1 members answer", "m0", "leader", "transactions", "THE LAST TWO MINUTES"):
        assert text in said.output
