"""The v2 interface over a replica of one, as a client sees it without a port between."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec

from roost import etcd
from roost.etcd.v2.expiry import LOOK_S
from roost.etcd.v2.forms import FORM
from roost.exchange import Answer, Request, Streaming
from roost.flow import OWN, Flow
from roost.sim.members import loop as virtual
from tests.etcd.replica import LocalReplica

# Noon of the first of January 2026.
NOON_S = 1_767_268_800.0


@dataclass(frozen=True)
class Sender:
    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN


class Leaver:
    """A client that may go away while it waits."""

    def __init__(self) -> None:
        self.is_over = False
        self._heard: list[Callable[[], object]] = []

    def hear_gone(self, on_gone: Callable[[], object]) -> None:
        self._heard.append(on_gone)

    def leave(self) -> None:
        self.is_over = True
        for on_gone in self._heard:
            on_gone()


class Face:
    """A member of its own, whose time stands still unless somebody lets it pass: `now_s`.

    By `set_s` the machine's date is another one.
    """

    def __init__(self, **limits: Any) -> None:  # Any: fields of `Limits`
        self.now_s, self.set_s = NOON_S, 0.0
        self.replica = LocalReplica()
        self.services = etcd.Services(
            self.replica,
            self.replica.store,
            limits=etcd.Limits(**limits),
            clock_s=lambda: self.now_s,
            wall_s=lambda: self.now_s + self.set_s,
        )
        self.v2 = self.services.v2

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.replica.close()

    async def request(
        self,
        method: str,
        target: str,
        body: str | bytes = b"",
        headers: dict[bytes, bytes] | None = None,
        leaver: Leaver | None = None,
        sender: Sender | None = None,
    ) -> Answer | Streaming:
        path, _, query = target.partition("?")
        data = body.encode() if isinstance(body, str) else body
        replied: asyncio.Future[Answer | Streaming] = asyncio.get_running_loop().create_future()
        self.v2.begin(
            Request(
                method=method,
                raw_path=path.encode(),
                query=query.encode(),
                caller=sender or Sender(),
                headers={b"content-type": FORM, **(headers or {})},
                body=data,
                waiting=leaver,
            ),
            replied.set_result,
        )
        return await replied

    async def ask(self, method: str, key: str, **form: Any) -> Answer:  # Any: whatever str() makes
        """Ask for a key; what is said goes into the query."""
        answer = await self.request(method, f"/v2/keys{key}?{urlencode(form)}")
        return await whole(answer)

    async def module(
        self,
        method: str,
        path: str,
        leaver: Leaver | None = None,
        **form: Any,  # Any: whatever str() makes
    ) -> Answer | Streaming:
        """Ask one of the modules; what is said goes into the query."""
        return await self.request(method, f"{path}?{urlencode(form)}", leaver=leaver)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and what runs out be taken away."""
        for _ in range(round(seconds / LOOK_S)):
            await virtual.pass_time(LOOK_S)
            self.now_s += LOOK_S
            self.v2._expiry.look()

    async def watch(self, key: str, **form: Any) -> Streaming:  # Any: as above
        answer = await self.request("GET", f"/v2/keys{key}?{urlencode({'wait': 'true', **form})}")
        assert isinstance(answer, Streaming), answer
        return answer

    async def tree(self, key: str = "/") -> Any:  # Any: JSON
        """All that is there, as nested dictionaries of names."""
        answer = await self.ask("GET", key, recursive="true")
        return _shown(msgspec.json.decode(answer.body)["node"])


async def whole(answer: Answer | Streaming) -> Answer:
    """What comes to an end, all of it."""
    if isinstance(answer, Answer):
        return answer
    pieces = [it async for it in answer.pieces]
    return Answer(answer.status, b"".join(pieces), answer.headers)


def _shown(node: dict[str, Any]) -> Any:  # Any: JSON
    if "value" in node:
        return node["value"]
    return {it["key"].rpartition("/")[2]: _shown(it) for it in node.get("nodes", [])}


def json_of(answer: Answer) -> Any:  # Any: JSON
    return msgspec.json.decode(answer.body)
