"""Users of v2 for tests: passwords that cost nothing, and threads that are ready at once."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

import bcrypt
import msgspec
import pytest

from roost.errors import RoostError
from roost.exchange import Answer, Streaming
from roost.sim.members.loop import virtual_loop
from tests.etcd.v2.face import Face, Sender, whole


class Checks:
    """How many passwords were looked at, and made."""

    def __init__(self) -> None:
        self.checked = self.hashed = 0

    def check(self, given: bytes, held: bytes) -> bool:
        self.checked += 1
        return held.split(b"#", 1)[1] == given

    def hash(self, given: bytes, _salt: bytes) -> bytes:
        self.hashed += 1
        return b"%d#" % self.hashed + given  # no two are equal


@contextmanager
def cheap_passwords() -> Iterator[Checks]:
    """Passwords cost nothing as long as this is open, in virtual time."""
    checks, loop = Checks(), virtual_loop()

    def at_once(_executor: Executor, work: Callable[[], object]) -> asyncio.Future[object]:
        future: asyncio.Future[object] = loop.create_future()
        try:
            future.set_result(work())
        except RoostError as error:
            future.set_exception(error)
        return future

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", checks.check)
        patch.setattr(bcrypt, "hashpw", checks.hash)
        patch.setattr(loop, "run_in_executor", at_once)
        yield checks
        # What is put over it and taken away later would be put back for whoever comes then.
        assert bcrypt.checkpw == checks.check, "it goes before this does"


def basic(name: str, password: str) -> dict[bytes, bytes]:
    """What somebody says of itself, as a header."""
    said = base64.b64encode(f"{name}:{password}".encode())
    return {b"authorization": b"Basic " + said}


ROOT = basic("root", "pw")


async def send(
    face: Face,
    method: str,
    target: str,
    body: object = None,
    headers: dict[bytes, bytes] | None = None,
    sender: Sender | None = None,
) -> Answer:
    """Ask for a page of users, or a key, as somebody."""
    data = b"" if body is None else msgspec.json.encode(body)
    answer: Answer | Streaming = await face.request(
        method, target, data, headers=headers, sender=sender
    )
    return await whole(answer)


async def populate(face: Face) -> None:
    """Root, alice who may read /a/ and below, bob who may write the key /b; and judge requests."""
    patterns = {"kv": {"read": ["/a/*"], "write": ["/b"]}}
    for target, body in (
        ("users/root", {"user": "root", "password": "pw"}),
        ("roles/r", {"role": "r", "permissions": patterns}),
        ("users/alice", {"user": "alice", "password": "pw", "roles": ["r"]}),
        ("enable", None),
    ):
        answer = await send(face, "PUT", f"/v2/auth/{target}", body)
        assert answer.status in (200, 201), answer
    nothing = {"kv": {"read": ["/*"], "write": ["/*"]}}
    await send(face, "PUT", "/v2/auth/roles/guest", {"role": "guest", "revoke": nothing}, ROOT)
