"""PySyncObj's examples, rewritten: three processes each, of which some are killed with SIGKILL."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from roost.testing.ports import free_ports
from tests.database.told import Told, asked_until, three_told

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "from_pysyncobj"
AGAIN = ("nothing happened, ask again", "it may have happened", "no: ")


def ask_surely(told: Told, line: str) -> str:
    return told.ask_surely(line, AGAIN)


def test_no_addition_is_lost_or_made_twice_whoever_is_killed_in_the_middle(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "counter.py", tmp_path) as members:
        for number in range(5):
            members["m1"].hear()
            assert members["m2"].hear().startswith(f"addition {number} came to ")
        members["m1"].kill()
        for name in ("m2", "m3"):
            values = [int(members[name].hear().split()[-1]) for _ in range(20 - 5 * (name == "m2"))]
            assert values == sorted({*values}), "a counter that is only added to only grows"
        again = members.restart("m1")
        last = [again.hear() for _ in range(20)][-1]
        assert last.startswith("addition 19 came to ")
        members["m3"].kill()
        for told in members.others("m3"):
            assert told.ask("now") == "600", "three times twenty times ten"
        assert [it.end() for it in members.others("m3")] == [0, 0]


def test_what_was_set_is_there_whoever_is_killed(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "kvstorage.py", tmp_path) as members:
        for number, name in enumerate(("m1", "m2")):
            assert ask_surely(members[name], f"set key{number} {name}") == "it is set"
            members[name].kill()
            for told in members.others(name):
                assert ask_surely(told, f"get key{number}") == name
            assert ask_surely(members.restart(name), f"get key{number}") == name
        assert ask_surely(members["m1"], "pop key1") == "m2"
        assert ask_surely(members["m3"], "get key1") == "None"
        assert ask_surely(members["m3"], "push") == "set KEY VALUE | get KEY | pop KEY"


def requested(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 503, b"it does not listen yet"


def requested_surely(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    return asked_until(lambda: requested(port, path, body), lambda it: it[0] < 500)


def test_what_was_answered_with_201_is_read_from_another_member(tmp_path: Path) -> None:
    ports = dict(zip(("m1", "m2", "m3"), free_ports(3), strict=True))
    before = {name: [str(port)] for name, port in ports.items()}
    with three_told(EXAMPLES / "kvstorage_http.py", tmp_path, before) as members:
        assert requested_surely(ports["m1"], "/color") == (404, b"")
        for name, other in (("m1", "m2"), ("m2", "m3")):
            assert requested_surely(ports[name], "/color", name.encode()) == (201, b"")
            members[name].kill()
            assert requested_surely(ports[other], "/color") == (200, name.encode())
            members.restart(name)
            assert requested_surely(ports[name], "/color") == (200, name.encode())


def test_a_lock_has_one_holder_and_the_next_one_when_that_is_killed(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "lock.py", tmp_path) as members:
        assert ask_surely(members["m1"], "acquire door") == "acquired, token 1"
        assert ask_surely(members["m2"], "acquire door") == "somebody else has it"
        assert members["m1"].ask("check door") == "ours, token 1"
        assert members["m2"].ask("check door").startswith("not ours: ")
        assert members["m2"].ask("release door").startswith("no: ")
        members["m1"].kill()
        said = asked_until(lambda: members["m2"].ask("acquire door"), lambda it: "token" in it)
        token = int(said.split()[-1])
        assert token > 1
        assert ask_surely(members["m3"], "acquire door") == "somebody else has it"
        assert ask_surely(members.restart("m1"), "acquire door") == "somebody else has it"
        assert ask_surely(members["m2"], "release door") == "released"
        assert int(ask_surely(members["m3"], "acquire door").split()[-1]) > token


def test_an_example_is_small() -> None:
    found = sorted(EXAMPLES.glob("*.py"))
    assert [it.stem for it in found] == ["counter", "kvstorage", "kvstorage_http", "lock"]
    assert all(len(it.read_text().splitlines()) < 150 for it in found)
