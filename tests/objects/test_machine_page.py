"""The page and the example about machines do what they say."""

import re
from pathlib import Path

import pytest

from tests.database.said import run_page, said_to

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "machines.md"
BOARD = ROOT / "examples" / "leaderboard.py"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    run_page(PAGE, tmp_path, blocks=4)


LINES = """\
lucky
score ada 5
score bob 7
score ada 4 key-1
score ada 4 key-1
score cyd 2000
best 2
rank bob
rank cyd
lucky
score ada five
what?
status
"""
SAID = """\
no: nobody plays yet
ada has 5
bob has 7
ada has 9
ada has 9
no: a score is 1 to 1000 points
ada=9 bob=7
bob is 2
cyd is nowhere
{} was lucky
no: invalid literal for int() with base 10: 'five'
score PLAYER POINTS [KEY] | lucky | best COUNT | rank PLAYER | status
5 commands, the snapshot has 0
"""


@pytest.mark.slow
def test_the_leaderboard_does_what_its_lines_say(tmp_path: Path) -> None:
    assert len(BOARD.read_text().splitlines()) < 150
    said = said_to(BOARD, tmp_path / "data", LINES)
    (who,) = re.findall(r"(ada|bob) was lucky", said)
    assert said == SAID.format(who)
    best = {"ada": "ada=19 bob=7\n", "bob": "bob=17 ada=9\n"}[who]
    assert said_to(BOARD, tmp_path / "data", "best 2\n") == best, "luck is the same the second time"
    more = "".join(f"score eve 1 e{it}\n" for it in range(1100))
    *_, status = said_to(BOARD, tmp_path / "data", f"{more}status\n").splitlines()
    assert re.fullmatch(r"1105 commands, the snapshot has 100[0-9]", status)
    assert said_to(BOARD, tmp_path / "data", "best 1\n") == "eve=1100\n", "it went on from there"
