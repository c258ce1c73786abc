"""Examples written from the documentation alone: most have three processes, and kills."""

import re
from pathlib import Path

import pytest

from tests.database.said import said_to
from tests.database.told import asked_until, three_told

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("m1", "m2", "m3")


@pytest.mark.parametrize("example", sorted(EXAMPLES.rglob("*.py")), ids=lambda it: it.name)
def test_an_example_fits_on_two_screens_and_is_run_by_a_test(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 150
    tests = [it for it in Path(__file__).parents[1].rglob("test_*.py") if it.name != "test_tidy.py"]
    texts = [it.read_text() for it in tests]
    assert any(example.name in it or f'"{example.stem}"' in it for it in texts)


def test_a_user_has_so_many_requests_whichever_process_is_asked_or_killed(tmp_path: Path) -> None:
    # A bucket that fills by one in three hours: how slow this machine is plays no part.
    slowly = tmp_path / "rate_limiter.py"
    text = (EXAMPLES / "rate_limiter.py").read_text()
    assert "PER_S = 3, 0.1" in text
    slowly.write_text(text.replace("PER_S = 3, 0.1", "PER_S = 3, 1e-4"))
    with three_told(slowly, tmp_path) as members:
        assert members["m1"].ask("ada") == "yes, 2 left"
        assert members["m2"].ask("ada") == "yes, 1 left"
        members["m1"].kill()
        assert members["m3"].ask("ada") == "yes, 0 left"
        assert re.fullmatch(r"no: wait \d+ s", members["m2"].ask("ada"))
        assert re.fullmatch(r"no: wait \d+ s", members.restart("m1").ask("ada"))
        assert members["m3"].ask("bob") == "yes, 2 left"


def test_a_flag_changes_in_all_processes_and_is_known_without_a_majority(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "feature_flags.py", tmp_path) as members:
        for name in ("m1", "m2", "m3"):
            assert members[name].hear() == "0 flags are there"
        assert members["m1"].ask_surely("drop dark") == "there is none"
        members["m1"].tell("set dark 100")
        said = {members["m1"].hear(), members["m1"].hear()}
        assert said == {"dark is on for 100 %", "set"}
        for name in ("m2", "m3"):
            assert members[name].hear() == "dark is on for 100 %"
            assert members[name].ask("is dark ada") == "yes"
        members["m1"].kill()
        members["m2"].kill()
        assert members["m3"].ask("is dark ada") == "yes"
        assert members["m3"].ask("is light ada") == "no"


def test_each_job_is_done_once_though_its_scheduler_is_killed(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "scheduler.py", tmp_path) as members:
        assert members["m1"].ask("in 0 one") == "job 1"
        done = asked_until(lambda: members["m2"].ask("done"), lambda it: it.startswith("1: "))
        first = done.removeprefix("1: one, by ")
        assert members["m3"].ask_surely("who") == first
        others = members.others(first)
        members[first].kill()
        assert others[0].ask("in 0 two words") == "job 2"
        assert others[1].ask("in 0 three") == "job 3"
        done = asked_until(lambda: others[0].ask("done"), lambda it: it.count(";") == 2)
        found = re.fullmatch(r"1: one, by (\w+); 2: two words, by (\w+); 3: three, by (\w+)", done)
        assert found is not None
        assert (found[1], found[2] != first, found[3]) == (first, True, found[2])
        assert [it.end() for it in others] == [0, 0]


LINKS = """\
add https://a.example/1
add https://a.example/2
add https://a.example/1
name b https://b.example
name mine https://c.example
name c https://d.example
go mine
go mine
go a
go nobody
add https://a.example/3
top
"""
LED = """\
a
b
a
no: b is taken
mine
c
https://c.example
https://c.example
https://a.example/1
no: nothing is called nobody
d
mine=2 a=1 d=0
"""
SEATS = """\
hold A1 ada 600
hold A1 bob 600
hold A1 ada 900
hold Z1 ada 1
pay A1 bob
pay A1 ada
hold A1 ada 600
hold B2 bob 0
hold B2 cyd 600
free
sold
"""
SOLD = """\
held
no: somebody has it
held
no: there is no seat Z1
no: it is not held for you
sold
no: somebody has it
held
held
A2 A3 B1 B3
A1
"""


NOTES = """\
add Buy pears, and bread
add The bread is in the oven
add pears again
find BREAD
find pears bread
change 3 plums again
change 9 nothing
find pears
remove 1
remove 1
save SAVED
find bread the
"""
FOUND = """\
note 1
note 2
note 3
1: Buy pears, and bread; 2: The bread is in the oven
1: Buy pears, and bread
note 3
no: there is no note 9
1: Buy pears, and bread
gone
none
saved True
2: The bread is in the oven
"""


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("url_shortener.py", LINKS, LED),
        ("seats.py", SEATS, SOLD),
        ("notes.py", NOTES, FOUND),
    ],
)
def test_what_is_written_stays(name: str, lines: str, said: str, tmp_path: Path) -> None:
    lines = lines.replace("SAVED", str(tmp_path / "saved.db"))
    assert said_to(EXAMPLES / name, tmp_path / "data", lines) == said
    last = lines.splitlines(keepends=True)[-1]
    assert said_to(EXAMPLES / name, tmp_path / "data", last) == said.splitlines(keepends=True)[-1]


def test_all_members_show_what_is_said_in_one_order(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "chat.py", tmp_path) as members:
        members["m1"].tell("hello")
        assert {members[it].hear() for it in NAMES} == {"1 m1: hello"}
        members["m2"].tell("good morning")
        assert {members[it].hear() for it in NAMES} == {"2 m2: good morning"}
        members["m1"].kill()
        members["m3"].tell("who is there?")
        assert {members[it].hear() for it in NAMES[1:]} == {"3 m3: who is there?"}
        back = members.restart("m1")
        assert [back.hear(), back.hear()] == ["1 m1: hello", "2 m2: good morning"]
        assert back.hear() == "3 m3: who is there?"
        back.tell("I am")
        assert {members[it].hear() for it in NAMES} == {"4 m1: I am"}


def test_orders_meet_by_price_and_time_whoever_is_killed(tmp_path: Path) -> None:
    with three_told(EXAMPLES / "exchange.py", tmp_path) as members:
        assert members["m1"].ask_surely("sell ada 5 12") == "0 of 5 at once"
        assert members["m2"].ask_surely("sell bob 5 11") == "0 of 5 at once"
        assert members["m3"].ask_surely("sell cyd 5 11") == "0 of 5 at once"
        assert members["m1"].ask_surely("buy dan 7 11") == "7 of 7 at once"
        assert members["m2"].ask("buy dan 0 11").startswith("no: an order has a count")
        members["m2"].kill()
        left = "cyd sells 3 at 11; ada sells 5 at 12"
        assert members["m3"].ask_surely("book") == left
        assert members["m1"].ask_surely("buy eve 10 12") == "8 of 10 at once"
        back = members.restart("m2")
        assert back.ask_surely("book") == "eve buys 2 at 12"
        traded = ("5 at 11 from bob to dan; 2 at 11 from cyd to dan; "
                  "3 at 11 from cyd to eve; 5 at 12 from ada to eve")  # fmt: skip
        assert back.ask_surely("trades") == traded


def test_letters_are_sent_in_order_by_one_member_and_by_another_when_it_is_killed(
    tmp_path: Path,
) -> None:
    with three_told(EXAMPLES / "outbox.py", tmp_path) as members:
        assert members["m1"].ask_surely("order pears") == "order 0"
        first = asked_until(lambda: members["m2"].ask_surely("sent"), bool)
        sender = first.removeprefix("0: thank you for pears, by ")
        assert sender in NAMES
        members[sender].kill()
        others = members.others(sender)
        assert others[0].ask_surely("order plums") == "order 1"
        assert others[1].ask_surely("order figs") == "order 2"
        sent = asked_until(lambda: others[0].ask_surely("sent"), lambda it: it.count(";") == 2)
        found = re.fullmatch(
            rf"{first}; 1: thank you for plums, by (\w+); 2: thank you for figs, by (\w+)", sent
        )
        assert found is not None
        assert found[1] == found[2] != sender
        assert others[1].ask_surely("wait") == "0 wait"
        assert [it.end() for it in others] == [0, 0]
