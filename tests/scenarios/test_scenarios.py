"""Every scenario still goes as it is told; `--rewrite` records how it goes now."""

from pathlib import Path

import pytest

from roost.raft.messages import Message, SnapshotOffer
from roost.raft.types import Configuration
from roost.sim.cores.notation import ScenarioError, make_message, show_message
from roost.sim.cores.scenario import Scenario, record
from roost.sim.cores.script import parse, points_of
from tests.raft.test_codec import KINDS_BY_EXAMPLE

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda it: it.stem)
def test_it_goes_as_it_is_told(path: Path, request: pytest.FixtureRequest) -> None:
    told = path.read_text()
    now = record(told)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == told, "if that is right, record it: pytest tests/scenarios --rewrite"


@pytest.mark.parametrize("path", FILES, ids=lambda it: it.stem)
def test_it_begins_with_prose_and_names_what_it_shows(path: Path) -> None:
    text = path.read_text()
    first = parse(text)[0]
    assert first.prose
    assert not first.commands
    assert points_of(text)


def test_a_recorded_scenario_stays_as_it_is() -> None:
    text = "# Two nodes.\n\n# One leads.\ncluster nodes=2\nelect n1\nstatus n1\n----\nnonsense\n"
    once = record(text)
    assert "n1 leader term=1" in once
    assert "nonsense" not in once
    assert record(once) == once


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("dance n1", "no command 'dance'"),
        ("status n9", "KeyError"),
        ("status x", "no node"),
        ("propose", "IndexError"),
        ("settle loudly=yes", "nobody knows loudly"),
        ("step n1 hello from=n2", "no kind of message"),
        ("change n1 transition=slow", "KeyError"),
        ("disk n1 log=(x)", "ValueError"),
        ("drop quickly", "nobody knows quickly"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command: str, words: str) -> None:
    scenario = Scenario()
    with pytest.raises(ScenarioError, match="begins with"):
        scenario.run("status")
    scenario.run("cluster nodes=3")
    with pytest.raises(ScenarioError, match=words):
        scenario.run(command)


@pytest.mark.parametrize("message", KINDS_BY_EXAMPLE, ids=lambda it: type(it).__name__)
def test_a_message_is_written_as_it_is_read(message: Message) -> None:
    kind, *words = show_message(message).split(" ", 1)
    pairs = dict(part.split("=", 1) for part in _parts(words[0]) if "=" in part)
    flags = [part for part in _parts(words[0]) if "=" not in part]
    again = make_message(kind, flags, {"from": f"n{message.sender}", **pairs})
    if isinstance(message, SnapshotOffer):
        assert isinstance(again, SnapshotOffer)
        assert again.configuration == Configuration(version=1, voters=(1, 2))
    assert show_message(again) == show_message(message)


def _parts(text: str) -> list[str]:
    """Words, of which a list in parentheses is one."""
    parts: list[str] = []
    depth = 0
    for word in text.split(" "):
        if depth:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
        depth += word.count("(") - word.count(")")
    return parts
