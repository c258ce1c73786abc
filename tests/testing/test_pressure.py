"""Every row of the pressure campaign does what it says, and the other client is seen (issue 14).

Small numbers: what is held here is that the acts work and what they find; how fast a member is
meanwhile is for the campaign.
"""

import random
import signal
import subprocess
import sys
from pathlib import Path

import hpack
import pytest

from roost.sim.linearizability import Operation, Verdict
from roost.testing.patience import wait_until
from roost.testing.pressure.__main__ import main
from roost.testing.pressure.arena import PUTS_MIN, Played, Seen
from roost.testing.pressure.bystander import PART_OPERATIONS, History
from roost.testing.pressure.campaign import Plan, run
from roost.testing.pressure.figures import Figures, faults, held_in
from roost.testing.pressure.frames import _huffman_field
from roost.testing.pressure.rows import ROWS
from roost.testing.pressure.sizes import FULL, Sizes
from roost.testing.pressure.target import Target
from roost.testing.processes import children_of, is_there, processes_about

SMALL = Sizes(keys=1200).scaled(0.01)
ACT = "roost.testing.pressure.act pipeline"


def family_of(pid: int) -> set[int]:
    """A process's children, and theirs."""
    children = children_of(pid)
    return {*children}.union(*map(family_of, children))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """All rows at once, each once, on three members, with another client and the judge."""
    plan = Plan(list(ROWS.values()), ["roost"], SMALL, minutes=1e-6)
    [[figures]] = run(plan, tmp_path_factory.mktemp("arena"), say=lambda _text: None)
    return figures


@pytest.mark.slow
@pytest.mark.cluster
def test_every_row_runs_and_another_client_puts_beside_it(together: Figures) -> None:
    assert together.error == ""
    assert together.times == len(ROWS)
    assert together.puts >= PUTS_MIN
    assert together.resident_mib > 0
    assert together.history == Verdict.LINEARIZABLE.value


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("limit.answered", 10),
        ("count.answered", 10),
        ("sorted.answered", 1),
        ("all.answered", 1),
        ("pages.keys", 1200),
        ("gateway.keys", 1200),
        ("crowd.failed", 0),
        ("hash.failed", 0),
        ("copies.answered", 2),
        ("bodies.missing", 0),
        ("users.missing", 0),
        ("delete.deleted", 1200),
        ("lease.missing", 0),
        ("locks.in_line", 20),
        ("pipeline.failed", 0),
        ("watches.missing", 0),
        ("watch-get.missing", 0),
        ("watch-get.failed", 0),
        ("crumbs.ended", 1),
        ("settings.streams", 40),
        ("windows.streams", 40),
        ("huffman.failed", 0),
        ("unfinished.ended", 0),
        ("headers.failed", 0),
    ],
)
def test_a_row_finds_what_is_there(together: Figures, fact: str, value: float) -> None:
    assert together.facts.get(fact) == value, together.error


@pytest.mark.slow
@pytest.mark.cluster
def test_nothing_is_left_of_a_campaign_that_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "roost.testing.pressure", "--rows", "pipeline"]
    process = subprocess.Popen(
        [*command, "--minutes", "60", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: bool(family_of(process.pid) & {*processes_about(ACT)}))
        found = family_of(process.pid)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()
    assert len(found) >= 5, "three members, who puts, who acts"
    wait_until(lambda: not any(map(is_there, found)))
    assert list(tmp_path.iterdir()) == []


def test_a_scale_leaves_one_of_each_and_keys_as_they_are() -> None:
    small = FULL.scaled(1e-9)
    assert (small.keys, small.value_bytes, small.page_keys) == (1_000_000, 1024, 500)
    assert (small.deleted, small.locks, small.streams) == (1, 1, 1)
    target = Target(["127.0.0.1:1"], small)
    assert Target.decoded(target.encoded()) == target


def test_a_huffman_field_is_one_that_every_decoder_reads() -> None:
    for size in (5, 130, 8000):
        block = _huffman_field(random.Random(size), size)
        [(name, value)] = hpack.Decoder(max_header_list_size=1 << 20).decode(block, raw=True)
        assert name == b"x"
        assert len(value) == size // 5 * 8
        assert set(value) <= set(b"012aceiost")


def test_puts_are_seen_that_were_under_way_and_enough_of_them() -> None:
    seen = Seen()
    for number in range(1000):
        seen.take(f"put {number} 0.5 0")
    seen.take("put 1000 70 2")
    seen.take("judged 400 LINEARIZABLE")
    assert len(seen.between(9.2, 500.0)) == 492, "from the one that began at 9"
    assert len(seen.between(10, 11)) == PUTS_MIN
    assert seen.between(990, 1100)[-1] == 70
    assert (seen.errors, seen.judged) == (2, 400)
    assert seen.verdict == Verdict.LINEARIZABLE.value
    seen.take("judged 400 NOT_LINEARIZABLE")
    seen.take("judged 400 LINEARIZABLE")
    assert seen.verdict == Verdict.NOT_LINEARIZABLE.value


def test_a_row_has_facts_or_says_why_it_has_none() -> None:
    """A row without either failed a test that could not say why."""
    played = Played("locks")
    assert played.error
    played.take(5.0, "", {})
    assert (played.times, played.error) == (1, "it told no facts")
    played.take(6.0, "", {"in_line": 20})
    assert played.error, "what has failed once has failed"
    good = Played("locks")
    good.take(5.0, "", {"in_line": 20})
    assert (good.error, good.began_s, good.facts) == ("", 5.0, {"in_line": 20})
    good.take(7.0, "WireBroken: it broke", {})
    assert (good.error, good.ended_s) == ("WireBroken: it broke", 7.0)


def test_a_part_of_a_history_is_judged_once_nobody_is_busy_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    history = History(is_kept=True)
    late = history.enter()
    for number in range(PART_OPERATIONS):
        part = history.enter()
        history.leave(part, Operation(part.key, "write", b"%d" % number, None, number, number + 1))
    assert history.enter().key != late.key
    history.judge()
    assert capsys.readouterr().out == ""
    # It read what was overwritten long before it asked.
    history.leave(late, Operation(late.key, "read", None, b"1", 300, 301))
    history.judge()
    assert capsys.readouterr().out == f"judged {PART_OPERATIONS + 1} NOT_LINEARIZABLE\n"
    history.judge()
    assert capsys.readouterr().out == ""


def test_a_row_holds_what_it_is_bound_to_or_what_etcd_does() -> None:
    good = Figures("x", "roost", p99_ms=50, longest_ms=250, grown_mib=278, took_s=2)
    assert faults(ROWS["limit"], good, None) == []
    slow = Figures("x", "roost", p99_ms=51, longest_ms=251)
    assert len(faults(ROWS["limit"], slow, None)) == 2
    assert faults(ROWS["limit"], slow, Figures("x", "etcd", p99_ms=60, longest_ms=900)) == []
    assert faults(ROWS["limit"], Figures("x", "roost", leader_changes=1), good) != []
    assert faults(ROWS["limit"], Figures("x", "roost", error="it broke"), good) != []
    unknown = Figures("x", "roost", history=Verdict.UNKNOWN.value)
    assert faults(ROWS["limit"], unknown, None) != []
    assert faults(ROWS["delete"], Figures("x", "roost", facts={"missing": 3}), None) != []
    ours, theirs = (Figures("x", it, facts={"failed": 8}) for it in ("roost", "etcd"))
    assert faults(ROWS["sorted"], ours, None) == ["failed: 8, at most 0"]
    assert faults(ROWS["sorted"], ours, theirs) == []
    assert faults(ROWS["unfinished"], good, None) == []
    fat = Figures("x", "roost", grown_mib=300)
    assert faults(ROWS["unfinished"], fat, None) != []
    assert faults(ROWS["unfinished"], fat, Figures("x", "etcd", grown_mib=301)) == []
    fast = Figures("x", "etcd", took_s=1, facts={"gets_per_s": 100})
    assert faults(ROWS["pages"], good, None) == []
    assert faults(ROWS["pages"], good, fast) != []
    assert faults(ROWS["watch-get"], Figures("x", "roost", facts={"gets_per_s": 99}), fast) != []
    assert faults(ROWS["watch-get"], Figures("x", "roost", facts={"gets_per_s": 100}), fast) == []


def test_who_held_the_loop_is_read_from_a_log() -> None:
    log = (
        "the loop was held for 70 ms by roost.a.B.c\n"
        "the loop was held for 90 ms by roost.d.<locals>.e\n"
        "the loop was held for 60 ms by roost.a.B.c\n"
    )
    assert held_in(log) == ["roost.d.<locals>.e 90 ms", "roost.a.B.c 70 ms"]


def test_a_row_that_is_none_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "roost.testing.pressure", "--rows", "limit,none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no row 'none'" in done.stderr


@pytest.mark.parametrize("given", [("--keys", "-5"), ("--scale", "0"), ("--minutes", "-1")])
def test_numbers_that_are_none_are_refused(
    given: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pressure", *given])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "python -m roost.testing.pressure" in said
    assert f"error: {given[0]}: {given[1]} is" in said
