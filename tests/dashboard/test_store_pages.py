"""Trees, state and backups over HTTP: whose they are, and which question is answered by whom."""

import json

import pytest

from roost.call import Code
from roost.dashboard import Interface, Log, StorePages
from roost.exchange import Answer, Request, Streaming
from roost.sim.members.loop import run_virtually
from tests.dashboard.alone import Alone, Rights, hub_of
from tests.dashboard.stored import Kept, Stored
from tests.dashboard.test_interface import Somebody

IS_JSON = {b"content-type": b"application/json"}
ALL = (
    ("GET", "storage"),
    ("GET", "trees"),
    ("GET", "trees/rows?tree=a"),
    ("POST", "trees/rows"),
    ("GET", "trees/counts"),
    ("GET", "backups"),
    ("POST", "backups"),
    ("GET", "backups/job"),
    ("POST", "backups/verify"),
    ("GET", "backups/file?name=x"),
    ("GET", "backups/now"),
)


class Desk:
    """An interface with a store behind it."""

    def __init__(self) -> None:
        self.stored, self.kept, self.rights = Stored(), Kept(), Rights()
        pages = StorePages(self.stored, self.kept)
        self.interface = Interface(
            hub_of(Alone(ids=[1]))[0], self.rights, Log(), stored=pages.answers
        )

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b'{"name": "x"}',
        headers: dict[bytes, bytes] = IS_JSON,
    ) -> Answer | Streaming:
        path, _, query = target.partition("?")
        request = Request(
            method=method,
            raw_path=f"/dashboard/{path}".encode(),
            query=query.encode(),
            body=body,
            caller=Somebody(),
            headers=headers,
        )
        return run_virtually(self.interface.answer(request))

    def asked(self, *args: str, **said: bytes) -> Answer:
        answer = self.ask(*args, **said)  # type: ignore[arg-type]  # a body
        assert isinstance(answer, Answer)
        return answer


@pytest.mark.parametrize(("method", "target"), ALL)
def test_all_of_it_is_roots(method: str, target: str) -> None:
    desk = Desk()
    desk.rights.refuse(Code.PERMISSION_DENIED, "not you")
    answer = desk.asked(method, target)
    assert (answer.status, desk.rights.wants_root) == (403, True)
    assert (desk.kept.begun, desk.stored.asked) == ([], [])


@pytest.mark.parametrize("target", ["backups", "backups/verify"])
def test_no_page_of_another_origin_can_begin_anything(target: str) -> None:
    desk = Desk()
    answer = desk.ask("POST", target, headers={b"content-type": b"text/plain"})
    assert isinstance(answer, Answer)
    assert (answer.status, desk.kept.begun) == (415, [])


def test_trees_and_rows_are_asked_for_by_pages() -> None:
    desk = Desk()
    assert json.loads(desk.asked("GET", "storage").body)["digest"] == "aa"
    assert json.loads(desk.asked("GET", "trees?after=b&limit=3").body)["trees"][0]["name"] == "a"
    assert desk.asked("GET", "trees/rows?tree=a&from=00ff").status == 200
    assert desk.stored.asked == [("b", 3), ("a", b"\0\xff", 100)]
    unknown = desk.asked("GET", "trees/rows?tree=x")
    assert (unknown.status, json.loads(unknown.body)["error"]) == (400, "there is no tree 'x'")
    assert desk.asked("GET", "trees/rows?tree=a&limit=0").status == 400
    wanted = b'{"tree": "a", "from": "00ff", "limit": 9}'
    assert desk.asked("POST", "trees/rows", body=wanted).status == 200
    assert desk.stored.asked[-1] == ("a", b"\0\xff", 9)
    for body in (b"", b'{"tree": "a", "from": "0"}', b'{"tree": "a", "limit": 0}'):
        assert desk.asked("POST", "trees/rows", body=body).status == 400
    assert desk.asked("GET", "trees/counts").status == 429


def test_backups_are_begun_and_named() -> None:
    desk = Desk()
    assert json.loads(desk.asked("POST", "backups").body)["kind"] == "save"
    assert json.loads(desk.asked("POST", "backups/verify").body)["name"] == "x"
    assert desk.kept.begun == ["save", "x"]
    for body in (b"", b"{}", b'{"name": 1}'):
        assert desk.asked("POST", "backups/verify", body=body).status == 400
    assert desk.kept.begun == ["save", "x"]


def test_a_file_comes_with_its_size_and_a_name_that_needs_no_quotes() -> None:
    desk = Desk()
    sent = desk.ask("GET", 'backups/file?name=m"%0d%0a%c3%bc-1.db')
    assert isinstance(sent, Streaming)
    headers = dict(sent.headers)
    assert headers[b"content-disposition"] == b'attachment; filename="m____-1.db"'
    assert (headers[b"content-length"], headers[b"cache-control"]) == (b"3", b"no-store")
    sent.close()
    assert desk.kept.closed_count == 1
    assert isinstance(desk.ask("GET", "backups/now"), Streaming)
