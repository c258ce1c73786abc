"""A lock of 0.3 is fought over by 50 clients while leaders are killed: there is one holder at most.

Who holds it is told an index, and these grow in the order of holding, so a late holder of before
can be told from the one of now.  A place that was taken by a request whose answer was lost is found
again by its value.
"""

import http.client
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
CLIENTS, TURNS = 50, 2
# Much longer than it is held, and than a cluster is without a leader.
TTL_S = 60
LOCK = "/mod/v2/lock/fought/over"


def ask(endpoint: str, method: str, **form: str | int) -> tuple[int, str]:
    """What a member answers; status 0 when it does not."""
    connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
    try:
        connection.request(method, f"{LOCK}?{urlencode(form)}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Fight:
    """All clients, and what must be true of them together."""

    def __init__(self, endpoints: list[str]) -> None:
        self._endpoints = endpoints
        self._holder = threading.Lock()
        self._counting = threading.Lock()
        self.indexes: list[int] = []
        # Requests, and those that somebody has answered.
        self.asked_count = self.answered_count = 0
        self.wrong: list[str] = []

    def has_come_to(self, count: int) -> bool:
        """Whether it was held so often, or something is wrong."""
        return len(self.indexes) >= count or bool(self.wrong)

    def run(self, number: int) -> None:
        """Hold the lock some times, by whichever member answers."""
        dice = random.Random(number)
        for turn in range(TURNS):
            value = f"{number}.{turn}"
            status = 0
            while status != 200:
                status, said = self._ask(dice, "POST", ttl=TTL_S, value=value)
            if not self._holder.acquire(blocking=False):
                self.wrong.append(f"{value} holds it, and somebody else")
                return
            self.indexes.append(int(said))
            self._holder.release()
            while status != 404:  # until the leader says that it is gone
                status, _ = self._ask(dice, "DELETE", index=said)

    def _ask(self, dice: random.Random, method: str, **form: str | int) -> tuple[int, str]:
        """Ask any member."""
        status, said = ask(dice.choice(self._endpoints), method, **form)
        with self._counting:
            self.asked_count += 1
            self.answered_count += bool(status)
        return status, said


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3, extra_flags=["--enable-v2"]) as cluster:
        cluster.leader()
        yield cluster


def test_there_is_one_holder_at_most_whoever_is_killed(three: Cluster) -> None:
    fight = Fight(three.endpoints)
    clients = [threading.Thread(target=fight.run, args=(it,)) for it in range(CLIENTS)]
    for it in clients:
        it.start()
    kills = (CLIENTS // 2, CLIENTS)
    for count in kills:
        wait_until(partial(fight.has_come_to, count))
        leader = three.leader()
        three.kill(leader)
        three.start(leader)
    for it in clients:
        it.join(PATIENCE_S)
    assert fight.wrong == []
    assert len(fight.indexes) == CLIENTS * TURNS
    assert fight.indexes == sorted(set(fight.indexes)), "they grow in the order of holding"
    assert ask(three.endpoints[0], "GET") == (200, ""), "nobody's place is left"
    # Each turn asks for the lock once, and twice to give it up; whoever was cut off, or told that
    # nobody leads, asks again: nobody is woken in vain.
    asked_once = 3 * CLIENTS * TURNS
    assert asked_once <= fight.asked_count, "what was cut off may have been done"
    assert fight.answered_count <= asked_once + 4 * CLIENTS * len(kills)
