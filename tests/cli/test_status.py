"""The whole cluster in a table: with who is silent, behind, full, or has never started."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from roost.cli.shared import size_of
from roost.cli.status import View, answer_of, role_of, table_of
from roost.client import Alarm, Member, Status
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

LEADS = Status(
    endpoint="127.0.0.1:1",
    member_id=1,
    leader_id=1,
    term=2,
    index=500,
    applied_index=500,
    revision=7,
    version="3.5.1",
    db_bytes=3 << 20,
    db_bytes_in_use=1536,
    is_learner=False,
    errors=(),
)
FOLLOWS = replace(LEADS, endpoint="127.0.0.1:2", member_id=2, index=490, applied_index=450)


def member(number: int, name: str) -> Member:
    urls = (f"http://127.0.0.1:{number}",) if name else ()
    return Member(number, name, (f"http://127.0.0.1:{number + 100}",), urls, is_learner=False)


def view(*answers: Status | None, alarms: tuple[Alarm, ...] = ()) -> View:
    names = ["m1", "m2", "m3", ""]
    return View(
        [answer_of(f"127.0.0.1:{at + 1}", it) for at, it in enumerate(answers)],
        [member(at + 1, it) for at, it in enumerate(names)],
        alarms,
    )


def test_who_has_started_and_serves_no_clients_is_not_said_to_have_never_started() -> None:
    told = replace(view(LEADS), members=[member(1, "m1"), replace(member(2, "m2"), client_urls=())])
    *_, last = table_of(told)
    assert last[:2] == ("m2", "not asked")


def test_every_member_has_its_row() -> None:
    shown = view(LEADS, FOLLOWS, None, alarms=(Alarm(2, "NOSPACE"),))
    head, *rows = table_of(shown)
    assert {len(it) for it in (head, *rows)} == {len(head)}
    cells = [dict(zip(head, it, strict=True)) for it in rows]
    assert [(it["NAME"], it["ROLE"]) for it in cells] == [
        ("m1", "leader"),
        ("m2", "follower"),
        ("m3", "silent"),
        ("?", "never started"),
    ]
    assert (cells[0]["BEHIND"], cells[1]["BEHIND"]) == ("0", "50")
    assert (cells[0]["STORE"], cells[0]["IN USE"]) == ("3.0 MiB", "1.5 KiB")
    assert (cells[0]["ALARMS"], cells[1]["ALARMS"]) == ("none", "NOSPACE")
    assert not shown.is_complete
    assert view(LEADS).is_complete


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (LEADS, "leader"),
        (FOLLOWS, "follower"),
        (replace(FOLLOWS, leader_id=0), "leaderless"),
        (replace(FOLLOWS, is_learner=True), "learner"),
    ],
)
def test_a_role_is_a_word(said: Status, role: str) -> None:
    assert role_of(said) == role


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_of(count) == text


def roost(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "roost", *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.cluster
def test_one_endpoint_is_enough_to_see_all_and_a_silent_one_is_told(tmp_path: Path) -> None:
    with Cluster(tmp_path, 2) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        asked = ("status", "--endpoints", endpoint, "--json")
        with roost(*asked) as one:
            assert one.stdout is not None
            rows = [json.loads(it) for it in one.stdout]
        assert one.returncode == 0
        assert sorted(it["role"] for it in rows) == ["follower", "leader"]
        assert all(it["name"] and not it["alarms"] for it in rows)
        with roost(*asked, "--named") as one:
            assert one.stdout is not None
            assert len(one.stdout.readlines()) == 1
        with roost("status", "--watch", "--endpoints", endpoint) as one:
            assert one.stdout is not None
            heads = [it for it in (one.stdout.readline() for _ in range(4)) if "ROLE" in it]
            assert len(heads) == 2, "it is shown again"
            one.send_signal(signal.SIGINT)
            wait_until(lambda: one.poll() is not None)
        assert one.wait(PATIENCE_S) == 0
        cluster.kill(1)
        with roost("status", "--endpoints", endpoint, "--timeout", "0.5") as one:
            assert one.stdout is not None
            text = one.stdout.read()
        assert "silent" in text
        assert one.returncode == 1
