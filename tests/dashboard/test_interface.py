"""Which request is answered by whom, and who may look."""

import json
import logging

import pytest

from roost.call import Code
from roost.dashboard import Interface, Log
from roost.dashboard.pages import DATA_GUARDS
from roost.dashboard.viewing import VIEWERS_MAX
from roost.database import events
from roost.exchange import Answer, Request, Streaming
from roost.flow import OWN, Flow
from roost.sim.members.loop import run_virtually
from tests.dashboard.alone import Alone, Rights, hub_of


class Somebody:
    """Who asks."""

    token = certificate_name = address = ""
    flow: Flow = OWN


class Desk:
    """An interface, and what stands behind it."""

    def __init__(self) -> None:
        self.hub, self.happenings = hub_of(Alone(ids=[1]))
        self.rights = Rights()
        self.log = Log()
        self.interface = Interface(self.hub, self.rights, self.log)

    async def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer | Streaming:
        path, _, query = path.partition("?")
        return await self.interface.answer(
            Request(
                method=method,
                raw_path=path.encode(),
                query=query.encode(),
                body=body,
                caller=Somebody(),
                headers={k.replace("_", "-").encode(): it.encode() for k, it in headers.items()},
            )
        )

    def asked(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        async def story() -> Answer:
            answer = await self.ask(path, method, body, **headers)
            assert isinstance(answer, Answer)
            return answer

        return run_virtually(story())


@pytest.mark.parametrize("path", ["/dashboard", "/mod/dashboard", "/mod/dashboard/"])
def test_other_addresses_lead_to_the_page(path: str) -> None:
    answer = Desk().asked(path)
    assert (answer.status, answer.headers) == (301, ((b"location", b"/dashboard/"),))


def test_the_page_and_its_files_are_for_everybody() -> None:
    desk = Desk()
    desk.rights.refuse(Code.PERMISSION_DENIED, "no")
    assert b"<!doctype html>" in desk.asked("/dashboard/").body
    assert desk.asked("/dashboard/rooms/keys.js").status == 200
    assert desk.asked("/dashboard/nobody.js").status == 404
    assert desk.asked("/dashboard/%2e%2e/pages.py").status == 404
    assert desk.asked("/dashboard/", "POST").status == 405


def test_the_cluster_is_told_once() -> None:
    said = json.loads(Desk().asked("/dashboard/cluster").body)
    assert said["here"] == "1"
    assert [it["name"] for it in said["members"]] == ["m1"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.PERMISSION_DENIED, 403),
        (Code.INVALID_ARGUMENT, 401),
        (Code.UNAUTHENTICATED, 401),
        (Code.UNAVAILABLE, 503),
    ],
)
@pytest.mark.parametrize("path", ["/dashboard/cluster", "/dashboard/events", "/dashboard/log"])
def test_who_may_not_look_is_told_why(code: Code, status: int, path: str) -> None:
    desk = Desk()
    desk.rights.refuse(code, "not you")
    answer = desk.asked(path)
    assert answer.status == status
    assert json.loads(answer.body) == {"error": "not you", "message": "not you", "code": code}
    assert not desk.hub.viewers


ELSEWHERE: list[dict[str, str]] = [
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate"},
    {"sec_fetch_site": "cross-site", "origin": "http://bad.example.com"},
    {"origin": "http://bad.example.com", "host": "here:2379"},
    {"origin": "null", "host": "here:2379"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_what_a_page_of_another_origin_has_asked_for_is_refused(headers: dict[str, str]) -> None:
    """Where nobody signs in, any page that somebody looked at could read and copy all of it."""
    desk = Desk()
    # As a member is started: etcd's default is for what etcd has.
    desk.interface = Interface(desk.hub, desk.rights, desk.log, cors=["*"])
    for path in ("/dashboard/cluster", "/dashboard/log", "/dashboard/events"):
        answer = desk.asked(path, "GET", b"", **headers)
        assert (answer.status, json.loads(answer.body)["code"]) == (403, Code.PERMISSION_DENIED)
    assert not desk.hub.viewers
    assert desk.asked("/dashboard/", "GET", b"", **headers).status == 200, (
        "a link to the page is no harm"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin", "origin": "http://here:2379"},
        {"sec_fetch_site": "none"},
        {"origin": "http://here:2379", "host": "here:2379"},
        {"sec_fetch_site": "cross-site", "origin": "http://good.example.com"},
    ],
)
def test_our_own_page_and_origins_that_are_let_in_are_answered(headers: dict[str, str]) -> None:
    desk = Desk()
    cors = ["http://good.example.com"]
    desk.interface = Interface(desk.hub, desk.rights, desk.log, cors=cors)
    answer = desk.asked("/dashboard/cluster", "GET", b"", **headers)
    assert answer.status == 200
    assert set(DATA_GUARDS) <= set(answer.headers)
    proxied = {"origin": "http://public", "host": "here:2379", "content_type": "application/json"}
    assert desk.asked("/dashboard/log", "POST", b"{", **proxied).status == 400, "no page could"


def test_states_come_as_events_with_the_number_of_the_last_happening() -> None:
    desk = Desk()
    for term in (1, 2):
        desk.happenings.note(events.LeaderChanged(1, "m1", term))

    async def story() -> None:
        streaming = await desk.ask("/dashboard/events", last_event_id="1")
        assert isinstance(streaming, Streaming)
        assert (b"content-type", b"text/event-stream") in streaming.headers
        pieces = aiter(streaming.pieces)
        assert await anext(pieces) == b"id: 2\n"
        kind, data, *_ = (await anext(pieces)).split(b"\n")
        assert kind == b"event: state"
        state = json.loads(data.removeprefix(b"data: "))
        assert [it["number"] for it in state["happenings"]] == [2]
        # Whose right is taken away sees no more.
        desk.rights.refuse(Code.UNAUTHENTICATED, "who are you?")
        assert await anext(pieces) == b'event: refused\ndata: "who are you?"\n\n'
        assert [it async for it in pieces] == []
        streaming.close()
        assert not desk.hub.viewers

    run_virtually(story())


def test_one_too_many_is_told_to_come_later() -> None:
    desk = Desk()
    for _ in range(VIEWERS_MAX):
        desk.hub.view()
    assert desk.asked("/dashboard/events").status == 429


@pytest.mark.parametrize("said", ["", "x", "-1", "9" * 30, "\u0663"])
def test_a_number_that_is_none_is_the_first(said: str) -> None:
    desk = Desk()
    desk.happenings.note(events.LeaderChanged(1, "m1", 1))

    async def story() -> None:
        streaming = await desk.ask("/dashboard/events", last_event_id=said)
        assert isinstance(streaming, Streaming)
        assert await anext(aiter(streaming.pieces)) == b"id: 1\n"
        streaming.close()

    run_virtually(story())


LEVEL = b'{"module": "roost.test_interface", "level": "debug"}'
IS_JSON = {"content_type": "application/json"}


def test_settings_are_roots() -> None:
    desk = Desk()
    assert json.loads(desk.asked("/dashboard/settings").body) == []
    assert desk.rights.wants_root
    desk.rights.refuse(Code.PERMISSION_DENIED, "no")
    assert desk.asked("/dashboard/settings").status == 403


def test_the_log_is_roots_and_says_more_when_it_is_told_to() -> None:
    desk = Desk()
    logger = logging.getLogger("roost.test_interface")
    desk.log.start()
    try:
        logger.warning("one")
        answer = desk.asked("/dashboard/log")
        assert desk.rights.wants_root
        [line] = json.loads(answer.body)["lines"]
        assert (line["text"], line["level"], line["module"]) == ("one", "warning", logger.name)
        assert not logger.isEnabledFor(logging.DEBUG)
        assert desk.asked("/dashboard/log", "POST", LEVEL, **IS_JSON).status == 200
        logger.debug("two")
        said = json.loads(desk.asked(f"/dashboard/log?after={line['number']}").body)
        assert [it["text"] for it in said["lines"]] == ["two"]
        assert said["levels"][logger.name] == "debug"
    finally:
        desk.log.stop()
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (LEVEL, {"content_type": "text/plain"}, 415),
        (LEVEL, {}, 415),
        (b"no", IS_JSON, 400),
        (b'{"module": "roost"}', IS_JSON, 400),
        (b'{"module": "roost", "level": "loud"}', IS_JSON, 400),
        (b'{"module": "os", "level": "debug"}', IS_JSON, 400),
        (b'{"module": "", "level": "debug"}', IS_JSON, 400),
    ],
)
def test_a_level_that_is_none_changes_nothing(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    before = logging.getLogger("roost").level, logging.getLogger().level
    assert Desk().asked("/dashboard/log", "POST", body, **headers).status == status
    assert before == (logging.getLogger("roost").level, logging.getLogger().level)
    assert Desk().asked("/dashboard/log", "DELETE").status == 405
