"""Real members in network namespaces that are cut off, killed and stopped: sums are exact.

Twenty episodes: `ROOST_COUNTER_EPISODES=20 python -m pytest tests/counters/test_real_episodes.py`.
"""

import http.client
import os
import random
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from roost.testing.namespaces import Network, NetworkCluster, namespace_reason
from roost.testing.patience import wait_until
from tests.counters.asking import ask, reads_of

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
EPISODES = int(os.environ.get("ROOST_COUNTER_EPISODES", "1"))
NAMES = [f"pages/{it}" for it in range(5)]
SIZE, HARMS, ANSWERS_A_HARM = 3, 6, 20
# A request that waits for longer is tried again; it may have counted.
ANSWER_S = 1.0


@dataclass(slots=True)
class Counted:
    """What one writer has been told, and what it has not been told yet."""

    sums: Counter[str] = field(default_factory=Counter)
    answered: int = 0


class Writer(threading.Thread):
    """Counts at one member, each request until it is answered, with a key of its own."""

    def __init__(self, position: int, endpoint: str, seed: int) -> None:
        super().__init__(name=f"writer {position}", daemon=True)
        # Of this episode alone: a key that comes again is another request's.
        self._keys = f"{seed}/{position}"
        self._endpoint = endpoint
        self._dice = random.Random(seed)
        self.counted = Counted()
        self.is_told_to_stop = False
        self.refused: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.is_told_to_stop:
            number += 1
            names = self._dice.sample(NAMES, 2)
            changes = [(it, self._dice.randint(-3, 9)) for it in names]
            while not self._is_counted(f"{self._keys}/{number}", changes):
                pass  # it waits for an answer, or for a member that serves
            self.counted.sums.update(dict(changes))
            self.counted.answered += 1

    def _is_counted(self, key: str, changes: list[tuple[str, int]]) -> bool:
        try:
            status, said = ask(
                self._endpoint,
                "POST",
                "/counters/increment",
                changes,
                timeout_s=ANSWER_S,
                idempotency_key=key,
            )
        except (OSError, http.client.HTTPException):
            wait_until(lambda: bool(reads_of(self._endpoint, NAMES)))
            return False
        if status not in (200, 503, 504):
            self.refused.append(f"{status} {said}")
            self.is_told_to_stop = True
            return True  # nobody asks again, and the episode fails
        return status == 200


class Nemesis:
    """Harms one member at a time, or two; `heal` undoes everything."""

    def __init__(self, cluster: NetworkCluster, network: Network, seed: int) -> None:
        self._cluster = cluster
        self._network = network
        self._dice = random.Random(seed)
        self._cut: set[tuple[int, int]] = set()
        self._stopped: set[int] = set()
        self.done: Counter[str] = Counter()

    def harm(self) -> None:
        position = self._dice.randrange(SIZE)
        kind = self._dice.choice(["cut off", "cut one way", "kill", "kill", "stop"])
        self.done[kind] += 1
        others = [it for it in range(SIZE) if it != position]
        if kind == "cut off":
            self._cut_ways({(position, it) for it in others} | {(it, position) for it in others})
        elif kind == "cut one way":
            self._cut_ways({(position, self._dice.choice(others))})
        elif kind == "kill":
            self._go_on()
            self._cluster.kill(position)
            self._cluster.start(position)
        else:
            self._cluster.process(position).send_signal(signal.SIGSTOP)
            self._stopped.add(position)

    def _cut_ways(self, ways: set[tuple[int, int]]) -> None:
        for way in ways - self._cut:
            self._network.cut(*way)
        self._cut |= ways

    def _go_on(self) -> None:
        for it in self._stopped:
            self._cluster.process(it).send_signal(signal.SIGCONT)
        self._stopped.clear()

    def heal(self) -> None:
        self._go_on()
        for way in self._cut:
            self._network.join(*way)
        self._cut.clear()


@pytest.mark.skipif(bool(namespace_reason()), reason=namespace_reason() or "there are some")
def test_what_real_members_count_is_exact_after_cuts_kills_and_stops(tmp_path: Path) -> None:
    with Network(SIZE) as network, NetworkCluster(tmp_path, network) as cluster:
        cluster.leader()
        for endpoint in cluster.endpoints:
            wait_until(partial(_serves, endpoint))
        truth: Counter[str] = Counter()
        for episode in range(EPISODES):
            truth.update(one_episode(cluster, network, episode))
            wanted = {it: truth[it] for it in NAMES}
            for endpoint in cluster.endpoints:
                wait_until(partial(_reads, endpoint, wanted))


def _serves(endpoint: str) -> bool:
    return bool(reads_of(endpoint, NAMES))


def _reads(endpoint: str, wanted: dict[str, int]) -> bool:
    return reads_of(endpoint, NAMES) == wanted


def _have_counted(writers: list[Writer], wanted: int) -> bool:
    return sum(it.counted.answered for it in writers) >= wanted


def one_episode(cluster: NetworkCluster, network: Network, seed: int) -> Counter[str]:
    """What was counted in it."""
    nemesis = Nemesis(cluster, network, seed)
    writers = [
        Writer(it, endpoint, SIZE * seed + it) for it, endpoint in enumerate(cluster.endpoints)
    ]
    for it in writers:
        it.start()
    for _harm in range(HARMS):
        nemesis.harm()
        # One that is cut off counts on: who is not stopped has its answers.
        wanted = sum(it.counted.answered for it in writers) + ANSWERS_A_HARM
        wait_until(partial(_have_counted, writers, wanted))
        if nemesis.done["stop"]:
            nemesis.heal()
    nemesis.heal()
    for it in writers:
        it.is_told_to_stop = True
    for it in writers:
        it.join()
    assert [it.refused for it in writers] == [[]] * SIZE
    found: Counter[str] = Counter()
    for it in writers:
        found.update(it.counted.sums)  # a sum of counters would leave out what is below zero
    return found
