"""What a member says in its log, changed while it runs."""

import json
import logging
from collections.abc import Iterator

import pytest

from roost.etcd import AuthOptions
from roost.exchange import Answer, Request
from roost.server.log_levels import ALL, LogLevels, is_known
from roost.sim.members.loop import run_virtually
from tests.etcd.guarded import World
from tests.etcd.v2.face import Face, Sender

MODULE = "roost.server.log_levels"


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    names = (ALL, MODULE, "roost.server")
    before = {it: logging.getLogger(it).level for it in names}
    logging.getLogger(MODULE)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def ask(method: str, body: object = None, *, token: str = "", is_guarded: bool = False) -> Answer:
    async def story() -> Answer:
        world = World(AuthOptions(bcrypt_cost=4)) if is_guarded else Face()
        try:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            request = Request(
                method=method, raw_path=b"", query=b"", caller=Sender(token=token), body=raw
            )
            return await LogLevels(world.services.border).answer(request)
        finally:
            world.replica.close()

    answer: Answer = run_virtually(story())
    return answer


@pytest.mark.parametrize("field", ["Level", "level", "LEVEL"])
def test_all_of_roost_says_more_or_less(field: str) -> None:
    assert ask("PUT", {field: "debug"}).status == 204
    assert logging.getLogger(MODULE).getEffectiveLevel() == logging.DEBUG
    assert logging.getLogger("other").getEffectiveLevel() == logging.root.level
    assert ask("PUT", {field: "CRITICAL"}).status == 204
    assert json.loads(ask("GET").body) == {"Level": "CRITICAL", "Modules": {}}


def test_a_module_has_a_level_of_its_own_until_it_is_taken_back() -> None:
    assert ask("PUT", {"Level": "ERROR"}).status == 204
    assert ask("PUT", {"Level": "TRACE", "Module": "roost.server"}).status == 204
    assert logging.getLogger(MODULE).getEffectiveLevel() == logging.DEBUG
    assert logging.getLogger("roost.raft").getEffectiveLevel() == logging.ERROR
    assert json.loads(ask("GET").body)["Modules"] == {"roost.server": "DEBUG"}
    assert ask("PUT", {"Level": "default", "Module": "roost.server"}).status == 204
    assert logging.getLogger(MODULE).getEffectiveLevel() == logging.ERROR


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid json body"),
        (b"[1]", "Invalid json body"),
        ({"Level": "loud"}, "Invalid log level loud"),
        ({}, "Invalid log level "),
        ({"Level": 7}, "Invalid log level 7"),
        ({"Level": "DEBUG", "Module": "roost.nothing"}, "Invalid module roost.nothing"),
        ({"Level": "DEBUG", "Module": "asyncio"}, "Invalid module asyncio"),
    ],
)
def test_what_is_no_level_of_ours_is_refused(body: object, message: str) -> None:
    answer = ask("PUT", body)
    assert (answer.status, json.loads(answer.body)) == (400, {"message": message})
    assert not is_known("roost.nothing"), "nothing is kept of a name that somebody made up"


def test_other_methods_are_refused() -> None:
    assert ask("POST", {"Level": "DEBUG"}).status == 405


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_root_alone_may_while_authentication_is_on(method: str) -> None:
    assert ask(method, {"Level": "INFO"}, is_guarded=True).status == 401
    assert ask(method, {"Level": "INFO"}, token="wrong", is_guarded=True).status == 401
