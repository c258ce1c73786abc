"""Places where the first members of a cluster find each other."""

import re

import pytest

from roost.etcd.v2.registry import LIVES_S
from roost.exchange import Answer
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.crowd import ROOT, cheap_passwords, populate, send
from tests.etcd.v2.face import Face, json_of

URL = re.compile(r"http://(?P<host>[^/]+)/v2/keys(?P<place>/_etcd/registry/[0-9a-f]{32})")


async def ask(face: Face, target: str, method: str = "GET", host: bytes = b"") -> Answer:
    answer = await face.request(method, target, headers={b"host": host} if host else None)
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(
    ("query", "size", "host"), [("", "3", b""), ("?size=5", "5", b"roost.example:2379")]
)
def test_a_place_has_a_size_and_goes_away(query: str, size: str, host: bytes) -> None:
    async def story() -> None:
        with Face() as face:
            answer = await ask(face, "/new" + query, host=host)
            found = URL.fullmatch(answer.body.decode())
            assert found is not None
            assert found["host"] == (host.decode() or "client")
            held = json_of(await face.ask("GET", found["place"] + "/_config/size"))
            assert held["node"]["value"] == size
            node = json_of(await face.ask("GET", found["place"]))["node"]
            assert node["ttl"] == LIVES_S
            assert "nodes" not in node, "what a member sees is other members"
            face.now_s += LIVES_S + 1
            face.v2._expiry.look()
            assert (await face.ask("GET", found["place"])).status == 404
            assert (await ask(face, "/new" + query)).body != answer.body

    run_virtually(story())


@pytest.mark.parametrize("query", ["?size=0", "?size=100", "?size=x", "?size=-1", "?size=%C2%B2"])
def test_what_is_no_size_is_refused(query: str) -> None:
    async def story() -> None:
        with Face() as face:
            assert (await ask(face, "/new" + query)).status == 400
            assert (await face.ask("GET", "/_etcd")).status == 404, "nothing was made"

    run_virtually(story())


def test_there_is_one_such_page() -> None:
    async def story() -> None:
        with Face() as face:
            assert (await ask(face, "/news")).status == 404
            assert (await ask(face, "/new", "POST")).status == 405

    run_virtually(story())


def test_whoever_may_not_write_there_makes_none() -> None:
    async def story() -> None:
        with cheap_passwords(), Face() as face:
            await populate(face)
            assert (await send(face, "GET", "/new")).status == 401
            assert (await send(face, "GET", "/new", headers=ROOT)).status == 200

    run_virtually(story())
