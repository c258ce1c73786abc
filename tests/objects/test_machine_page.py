"""The page and the example about machines do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.database.said import said_by

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "machines.md"
BOARD = ROOT / "examples" / "leaderboard.py"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, said_by(done.stderr)) == (0, "")


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


def run(lines: str, data: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(BOARD), str(data)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said_by(done.stderr)) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_the_leaderboard_does_what_its_lines_say(tmp_path: Path) -> None:
    assert len(BOARD.read_text().splitlines()) < 150
    said = run(LINES, tmp_path / "data")
    (who,) = re.findall(r"(ada|bob) was lucky", said)
    assert said == SAID.format(who)
    best = {"ada": "ada=19 bob=7\n", "bob": "bob=17 ada=9\n"}[who]
    assert run("best 2\n", tmp_path / "data") == best, "luck is the same the second time"
    more = "".join(f"score eve 1 e{it}\n" for it in range(1100))
    *_, status = run(f"{more}status\n", tmp_path / "data").splitlines()
    assert re.fullmatch(r"1105 commands, the snapshot has 100[0-9]", status)
    assert run("best 1\n", tmp_path / "data") == "eve=1100\n", "it went on from there"
