"""Clients of etcd's v2 in a simulated cluster: they set, read, watch, and fight over a lock.

Keys `/shared-N` are written by everybody and read with a quorum; their history must be
linearizable, as that of v3's keys (`clients`).  Every change that was acknowledged has one index,
and whoever watches all of the tree sees it, once, in its order; all who see an index see the same.
Of those who fight over a lock of 0.3 one holds it at a time, and later holders have larger indexes.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple
from urllib.parse import urlencode

from roost.etcd.v2.forms import FORM
from roost.exchange import Answer, Request, Streaming
from roost.flow import OWN, Flow
from roost.sim.linearizability import Operation
from roost.sim.members.clients import CLIENT_TIMEOUT_S, Clients, Endpoint
from roost.sim.members.judge import Violation

KEYS = 4
FIGHTERS = 3
_PAUSE_S_MEAN = 0.05
_WATCH_S_MEAN = 2.0
_HELD_S_MEAN = 0.1
# Longer than a run, so that nobody loses the lock by being cut off.
_LOCK_TTL_S = 3600
_GONE = 404
_CLEARED = 401
_DONE = (200, 201)
# It is not known what became of it.
_DOUBTFUL = 500


@dataclass(frozen=True, slots=True)
class _Sender:
    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN


class _Asking:
    """Somebody who waits for an answer, and may go."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer | Streaming] = asyncio.get_running_loop().create_future()
        self._heard: list[Callable[[], object]] = []

    @property
    def is_over(self) -> bool:
        return self.answer.done()

    def hear_gone(self, on_gone: Callable[[], object]) -> None:
        self._heard.append(on_gone)

    def reply(self, answer: Answer | Streaming) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
        elif isinstance(answer, Streaming):
            answer.close()

    def leave(self) -> None:
        self.answer.cancel()
        for on_gone in self._heard:
            on_gone()


class Seen(NamedTuple):
    """A change, as watchers see it, and its index."""

    at: int
    action: str
    key: str
    value: str


@dataclass(slots=True)
class _Watched:
    """What one watcher saw without a break: from an index on, up to before another."""

    first: int
    next: int
    seen: list[Seen] = field(default_factory=list)


class TreeClients:
    """All of one run."""

    def __init__(self, clients: Clients) -> None:
        """They call whom `clients` call, until these stop."""
        self._clients = clients
        self._acknowledged: list[Seen] = []
        self._watched: list[_Watched] = []
        self._holder = ""
        self._last_held = 0
        self._wrong = ""
        self.held_count = 0

    async def work(self, number: int) -> None:
        """One client sets, adds and reads until it is told to stop."""
        dice, count = self._clients.stream(f"tree {number}"), 0
        while not self._clients.is_stopping:
            await asyncio.sleep(dice.expovariate(1 / _PAUSE_S_MEAN))
            endpoint = self._clients.any_endpoint(dice)
            if endpoint is None:
                continue
            count += 1
            key, value = f"/shared-{dice.randrange(KEYS)}", f"{number}-{count}"
            what = dice.random()
            if what < 0.4:
                await self._read(endpoint, key)
            elif what < 0.7:
                await self._set(endpoint, key, value)
            else:
                await self._add(endpoint, value)

    async def _ask(
        self, endpoint: Endpoint, method: str, path: str, query: str = "", **form: str
    ) -> Answer | Streaming | None:
        """What a member answers; None when it does not in time, and then nobody waits any more."""
        asking = _Asking()
        body = urlencode(form).encode()
        headers = {b"content-type": FORM} if form else {}
        request = Request(
            method=method,
            raw_path=path.encode(),
            query=query.encode(),
            caller=_Sender(),
            headers=headers,
            body=body,
            waiting=asking,
        )
        life = endpoint.life
        endpoint.ask(request, asking.reply)
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                answer = await asyncio.shield(asking.answer)
        except TimeoutError:
            asking.leave()
            return None
        if endpoint.life == life:
            return answer
        if isinstance(answer, Streaming):
            answer.close()
        return None  # what a dead process says nobody hears

    async def _whole(
        self, endpoint: Endpoint, method: str, path: str, query: str = "", **form: str
    ) -> tuple[int, Any]:
        """A status, or 0 without an answer, and what the JSON says."""
        answer = await self._ask(endpoint, method, path, query, **form)
        if answer is None:
            return 0, {}
        body = answer.body if isinstance(answer, Answer) else await _all_of(answer)
        return answer.status, json.loads(body or b"{}")

    async def _set(self, endpoint: Endpoint, key: str, value: str) -> None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        status, said = await self._whole(endpoint, "PUT", f"/v2/keys{key}", value=value)
        if status and status not in _DONE and status < _DOUBTFUL:
            return  # it certainly did not happen
        returned = loop.time() if status in _DONE else inf
        self._clients.history.append(
            Operation(f"v2{key}".encode(), "write", value.encode(), None, called, returned)
        )
        if status in _DONE:
            self._acknowledged.append(_seen(said))

    async def _add(self, endpoint: Endpoint, value: str) -> None:
        status, said = await self._whole(endpoint, "POST", "/v2/keys/queue", value=value)
        if status in _DONE:
            self._acknowledged.append(_seen(said))

    async def _read(self, endpoint: Endpoint, key: str) -> None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        status, said = await self._whole(endpoint, "GET", f"/v2/keys{key}", "quorum=true")
        if status not in (*_DONE, _GONE):
            return
        value = said["node"]["value"].encode() if status in _DONE else None
        self._clients.history.append(
            Operation(f"v2{key}".encode(), "read", None, value, called, loop.time())
        )

    async def watch(self, number: int) -> None:
        """One client hears of all changes, now at this member, now at that one."""
        dice = self._clients.stream(f"tree watcher {number}")
        log: _Watched | None = None
        while not self._clients.is_stopping:
            endpoint = self._clients.any_endpoint(dice)
            if endpoint is None:
                await asyncio.sleep(0.1)
                continue
            if log is None:
                log = _Watched(1, 1)
                self._watched.append(log)
            query = f"wait=true&stream=true&recursive=true&waitIndex={log.next}"
            answer = await self._ask(endpoint, "GET", "/v2/keys/", query)
            if isinstance(answer, Streaming):
                log = await self._follow(endpoint, answer, log, dice.expovariate(1 / _WATCH_S_MEAN))
            else:
                if answer is not None and json.loads(answer.body).get("errorCode") == _CLEARED:
                    log = None
                await asyncio.sleep(0.05)

    async def _follow(
        self, endpoint: Endpoint, answer: Streaming, log: _Watched, stay_s: float
    ) -> _Watched | None:
        """Take what comes for a while; the log that goes on, or none when history is gone."""
        life, pieces, rest = endpoint.life, aiter(answer.pieces), b""
        try:
            async with asyncio.timeout(stay_s):
                async for piece in pieces:
                    if endpoint.life != life:
                        break  # what a dead process says nobody hears
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in filter(None, lines):
                        said = json.loads(line)
                        if "errorCode" in said:
                            return None if said["errorCode"] == _CLEARED else log
                        self._take(log, _seen(said))
        except TimeoutError:
            return log  # it goes to another member
        finally:
            answer.close()
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()  # now, and not when it is collected
        return log

    def _take(self, log: _Watched, seen: Seen) -> None:
        if seen.at < log.next:
            self._wrong = f"a watcher of v2 at {log.next} was told index {seen.at}"
        log.next = seen.at + 1
        log.seen.append(seen)

    async def fight(self, number: int) -> None:
        """One client holds the lock again and again, until it is told to stop."""
        dice, count = self._clients.stream(f"fighter {number}"), 0
        while not self._clients.is_stopping:
            count += 1
            value = f"fighter-{number}-{count}"
            index = await self._hold(dice, value)
            if index:
                self._note_held(value, index)
                await asyncio.sleep(dice.expovariate(1 / _HELD_S_MEAN))
                self._holder = ""
            await self._release(dice, value)

    async def _hold(self, dice: random.Random, value: str) -> int:
        """The index under which the lock is held; 0 when the run ends before."""
        while not self._clients.is_stopping:
            endpoint = self._clients.any_endpoint(dice)
            if endpoint is not None:
                answer = await self._ask(
                    endpoint, "POST", "/mod/v2/lock/x", ttl=str(_LOCK_TTL_S), value=value
                )
                if isinstance(answer, Answer) and answer.status in _DONE:
                    return int(answer.body)
            await asyncio.sleep(0.05)
        return 0

    def _note_held(self, value: str, index: int) -> None:
        if self._holder:
            self._wrong = f"{value} holds the lock, and {self._holder}"
        if index <= self._last_held:
            self._wrong = f"a lock is held with index {index} after {self._last_held}"
        self._holder, self._last_held = value, index
        self.held_count += 1

    async def _release(self, dice: random.Random, value: str) -> None:
        """Have the place of a value gone, as the leader says; at the end nobody needs it."""
        while not self._clients.is_stopping:
            endpoint = self._clients.any_endpoint(dice)
            if endpoint is not None:
                answer = await self._ask(endpoint, "DELETE", "/mod/v2/lock/x", f"value={value}")
                if isinstance(answer, Answer) and answer.status == _GONE:
                    return
            await asyncio.sleep(0.02)

    def check(self) -> int:
        """See that watchers saw what happened; how much they did.

        Raises:
            Violation: they did not, or two held the lock.

        """
        if self._wrong:
            raise Violation(self._wrong)
        happened: dict[int, Seen] = {}
        for it in (*self._acknowledged, *(it for log in self._watched for it in log.seen)):
            if happened.setdefault(it.at, it) != it:
                raise Violation(f"index {it.at} of v2 is {it} and {happened[it.at]}")
        for log in self._watched:
            expected = [happened[it] for it in sorted(happened) if log.first <= it < log.next]
            if log.seen != expected:
                text = f"a watcher of v2 saw {len(log.seen)} changes before index {log.next}"
                raise Violation(f"{text}, there were {len(expected)}")
        return sum(len(log.seen) for log in self._watched)


def _seen(said: Any) -> Seen:
    node = said["node"]
    return Seen(node["modifiedIndex"], said["action"], node["key"], node.get("value", ""))


async def _all_of(answer: Streaming) -> bytes:
    try:
        return b"".join([it async for it in answer.pieces])
    finally:
        answer.close()
