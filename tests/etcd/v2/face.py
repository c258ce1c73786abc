"""The v2 interface over a replica of one, as a client sees it without a port between."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec

from roost import etcd
from roost.etcd.v2.forms import FORM
from roost.exchange import Answer, Request, Streaming
from roost.flow import OWN, Flow
from tests.etcd.replica import LocalReplica

# Noon of the first of January 2026.
NOON_S = 1_767_268_800.0


@dataclass(frozen=True)
class Sender:
    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN


class Face:
    """A member of its own, whose date stands still unless somebody changes it."""

    def __init__(self, **limits: Any) -> None:  # Any: fields of `Limits`
        self.now_s = NOON_S
        self.replica = LocalReplica()
        self.services = etcd.Services(
            self.replica,
            self.replica.store,
            limits=etcd.Limits(**limits),
            wall_s=lambda: self.now_s,
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
    ) -> Answer | Streaming:
        path, _, query = target.partition("?")
        data = body.encode() if isinstance(body, str) else body
        return await self.v2.answer(
            Request(
                method=method,
                raw_path=path.encode(),
                query=query.encode(),
                caller=Sender(),
                headers={b"content-type": FORM, **(headers or {})},
                body=data,
            )
        )

    async def ask(self, method: str, key: str, **form: Any) -> Answer:  # Any: whatever str() makes
        """Ask for a key; what is said goes into the query."""
        answer = await self.request(method, f"/v2/keys{key}?{urlencode(form)}")
        return await whole(answer)

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
