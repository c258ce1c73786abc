"""The page and the example about a member in a program do what they say."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import roost
from roost import Client, events
from roost.testing.ports import free_ports
from tests.database.said import run_page, said_by, said_to

ROOT = Path(__file__).parents[2]
PAGES = {
    "embed.md": 6,
    "observe.md": 4,
    "derive.md": 3,
    "choose.md": 4,
    "upgrade.md": 5,
    "from-pysyncobj.md": 3,
}
BANK = ROOT / "examples" / "bank.py"
CACHE = ROOT / "examples" / "cache.py"
INDEX = ROOT / "examples" / "derived_index.py"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    members = 3 if page == "upgrade.md" else 1
    run_page(ROOT / "docs" / "how-to" / page, tmp_path, blocks=PAGES[page], members=members)


@pytest.mark.parametrize("example", [BANK, CACHE, INDEX])
def test_an_example_fits_on_two_screens(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 150


LINES = """\
open ada 10
open bob 0
open ada 5
move ada bob 4
move ada bob 40
move ada bob 1 order-7
move ada bob 1 order-7
move ada cyd 1
show
what?
"""
SAID = """\
ada has 10
bob has 0
no: ada has an account already
ada has 6
no: not enough money
ada has 5
ada has 5
no: cyd has no account
ada=5 bob=5
open NAME AMOUNT | move FROM TO AMOUNT [KEY] | show
"""


@pytest.mark.slow
def test_the_bank_does_what_its_lines_say(tmp_path: Path) -> None:
    for lines, said in ((LINES, SAID), ("show\n", "ada=5 bob=5\n")):
        assert said_to(BANK, tmp_path / "data", lines) == said


KEPT = """\
set a 1
set a 2
set b 3
drop a
get a
get b
log
"""
TOLD = """\
a is 1
a is 2
b is 3
a is gone
there is none
3
default: a was None, is 1
default: a was 1, is 2
default: b was None, is 3
default: a was 2, is None
"""


@pytest.mark.slow
def test_the_cache_has_what_its_member_applied(tmp_path: Path) -> None:
    for lines, said in ((KEPT, TOLD), ("get b\n", "3\n")):
        assert said_to(CACHE, tmp_path / "data", lines) == said


BOOKS = """\
find computing
add 1 Computing Machinery and Intelligence
add 2 The Art of Computing
add 3 Notes
find computing
lend 2 ada
lend 2 bob
lend 4 ada
due
add 1 On Intelligence
find COMPUTING
lend 2
due
drop 2
find art
what?
"""
FOUND = """\
nothing
1 is there
2 is there
3 is there
1 Computing Machinery and Intelligence
2 The Art of Computing
2 is lent
no: ada has it
no: there is no book 4
ada: The Art of Computing
1 is there
2 The Art of Computing
2 is back
nothing
2 is gone
nothing
add NUMBER TITLE... | lend NUMBER [WHO] | drop NUMBER | find WORD | due
"""


@pytest.mark.slow
def test_books_are_found_by_the_words_of_their_titles(tmp_path: Path) -> None:
    for lines, said in ((BOOKS, FOUND), ("find intelligence\n", "1 On Intelligence\n")):
        assert said_to(INDEX, tmp_path / "data", lines) == said


@pytest.mark.slow
def test_a_member_joins_a_database_that_is_served(tmp_path: Path) -> None:
    first, second, clients = free_ports(3)
    members = {"m0": f"127.0.0.1:{first}"}
    with roost.open(tmp_path / "m0", name="m0", members=members) as one:
        one.serve([f"http://127.0.0.1:{clients}"])
        one.tree("t")[b"a"] = b"1"
        happened = one.events()
        happened.__enter__()
        url = f"http://127.0.0.1:{second}"
        with Client(f"127.0.0.1:{clients}") as client:
            client.add_member([url], is_learner=True)
            with roost.open(
                tmp_path / "m1", name="m1", join=[members["m0"]], listen_peer_urls=[url]
            ) as two:
                assert two.tree("t")[b"a"] == b"1"
                assert two.status().is_learner
                joined = two.status().member_id
                two.tree("t")[b"b"] = b"2"
                assert one.tree("t")[b"b"] == b"2"
        told = iter(happened)
        sent = next(it for it in told if isinstance(it, events.SnapshotSent))
        assert (sent.why, sent.member_id) == ("joining", joined)
        happened.__exit__()


@pytest.mark.slow
def test_the_first_page_shows_a_program_that_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    begin = text.index("    import roost\n")
    block = text[begin : text.index("\nThree members", begin)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(block)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, said_by(done.stderr)) == (0, "5 {'ada': 5}\n", "")
