"""Counters on three real processes that are killed: what was acknowledged is counted, once."""

import http.client
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.exits import EXIT_REFUSED
from roost.cli.main import main
from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.counters.asking import ask, reads_of

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
NAMES = [f"pages/{it}/views" for it in range(5)]


def reads(cluster: Cluster, position: int) -> dict[str, int]:
    """What a member reads; nothing while it does not serve."""
    return reads_of(cluster.endpoints[position], NAMES)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3) as started:
        started.leader()
        yield started


def test_members_that_are_killed_count_everything_once(three: Cluster) -> None:
    dice = random.Random(18)
    truth: Counter[str] = Counter()
    # Requests that were not answered, by the member that was asked: they are tried there again.
    unanswered: list[tuple[int, str, list[tuple[str, int]]]] = []

    def increment(position: int, key: str, changes: list[tuple[str, int]]) -> bool:
        try:
            endpoint = three.endpoints[position]
            status, _ = ask(endpoint, "POST", "/counters/increment", changes, idempotency_key=key)
        except (OSError, http.client.HTTPException):
            return False
        assert status in (200, 503, 504)
        return status == 200

    def count(number: int) -> None:
        position = dice.choice(three.running)
        changes = [(it, dice.randint(-3, 9)) for it in dice.sample(NAMES, 2)]
        truth.update(dict(changes))
        if not increment(position, f"request {number}", changes):
            unanswered.append((position, f"request {number}", changes))

    for number in range(300):
        count(number)
        if number % 60 == 30:
            three.kill(dice.choice(three.running))
        if number % 60 == 50:
            # Two of three are gone: nobody leads, and the last one counts.
            three.kill(three.running[0])
            count(1000 + number)
            for position in set(range(3)) - set(three.running):
                three.start(position)
    for position in set(range(3)) - set(three.running):
        three.start(position)
    for retry in unanswered:
        wait_until(lambda it=retry: increment(*it))  # type: ignore[misc]  # bound at once
    wanted = {it: truth[it] for it in NAMES}
    for position in range(3):
        wait_until(lambda it=position: reads(three, it) == wanted)  # type: ignore[misc]  # likewise
    status, answer = ask(three.endpoints[1], "GET", "/counters/topology")
    assert status == 200
    assert [it["ready"] for it in answer["nodes"]] == [True] * 3


def test_a_member_without_a_quorum_counts_and_keeps_it(three: Cluster) -> None:
    assert ask(three.endpoints[0], "POST", "/counters/increment", [[NAMES[0], 5]])[0] == 200
    wait_until(lambda: all(reads(three, it).get(NAMES[0]) == 5 for it in range(3)))
    three.kill(0, 1)
    for _it in range(3):
        assert ask(three.endpoints[2], "POST", "/counters/increment", [[NAMES[0], 1]])[0] == 200
    three.kill(2)
    three.start(2)
    wait_until(lambda: reads(three, 2).get(NAMES[0]) == 8)
    three.start(0)
    three.start(1)
    wait_until(lambda: all(reads(three, it).get(NAMES[0]) == 8 for it in range(3)))


def test_clients_and_commands_count_at_any_member(three: Cluster) -> None:
    with Client(three.endpoints) as client:
        counters = client.counters
        for _it in range(30):
            counters.increment(NAMES[0])
        with counters.batch() as batch:
            batch.increment(NAMES[0], 12)
            batch.increment(NAMES[1], -3)
        later = counters.later()
        for _it in range(100):
            later.increment(NAMES[1])
        assert later.end() == {}
        wait_until(lambda: all(reads(three, it)[NAMES[1]] == 97 for it in range(3)))
        wait_until(lambda: all(reads(three, it)[NAMES[0]] == 42 for it in range(3)))
        assert dict(counters.search("pages/")) == {NAMES[0]: 42, NAMES[1]: 97}
        assert sum(counters.read_raw(NAMES[0])[NAMES[0]].values()) == 42
        watched = counters.watch(is_all=True)
        assert dict([next(watched), next(watched)]) == {NAMES[0]: 42, NAMES[1]: 97}
        watched.close()

    def run(*words: str) -> tuple[int, str]:
        command, *arguments = words
        where = ["--endpoints", ",".join(three.endpoints)]
        ended = CliRunner().invoke(main, ["counter", command, *where, *arguments])
        return ended.exit_code, ended.stdout

    assert run("incr", NAMES[0], "--", "-2") == (0, "40\n")
    wait_until(lambda: all(reads(three, it)[NAMES[0]] == 40 for it in range(3)))
    assert run("get", NAMES[0]) == (0, "40\n")
    assert run("get", NAMES[0], "none", "--json") == (
        1,
        f'{{"name":"{NAMES[0]}","value":40}}\n{{"name":"none","value":null}}\n',
    )
    assert run("ls", "pages/1") == (0, f"{NAMES[1]}\t97\n")
    assert run("raw", NAMES[1])[1].startswith("MEMBER  COUNTED\n")
    assert run("rm", NAMES[1]) == (0, f"{NAMES[1]}\t97\n")
    for words, said in (("stats", "phase: ready"), ("links", "sending"), ("topology", "m1")):
        code, text = run(words)
        assert code == 0
        assert said in text
    assert run("ready", three.endpoints[0])[1].endswith("ready\n")
    assert run("incr", "\n")[0] == EXIT_REFUSED
    code, text = run("join")
    assert (code, text.count("ready"), text.count("100%")) == (0, 3, 3)
    # One never comes back: what it had told counts on, for all.
    name = "m2"
    assert run("retire", name)[0] == EXIT_REFUSED, "it is there"
    before = [reads(three, it) for it in range(2)]
    three.kill(2)
    wait_until(lambda: run("retire", name)[1] == f"{name}: ended\n")
    assert [reads(three, it) for it in range(2)] == before
