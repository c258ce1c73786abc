"""Campaigns end as commands do: with a report, and with a code that says whether all was kept."""

import json
from dataclasses import dataclass, field

import pytest

from roost.testing import command


@dataclass(slots=True)
class Report:
    rounds: int = 3
    lost: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.lost


@pytest.mark.parametrize(("lost", "code"), [([], 0), (["a"], 1)])
def test_a_campaign_ends_with_its_report_and_what_that_says(
    lost: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for as_json in (False, True):
        with pytest.raises(SystemExit) as ended:
            command.end(Report(lost=lost), as_json=as_json)
        assert ended.value.code == code
        said = capsys.readouterr().out
        if as_json:
            assert json.loads(said) == {"rounds": 3, "lost": lost}
        else:
            assert said == f"rounds: 3\nlost: {lost}\n"


def test_its_folder_goes_with_it_and_all_in_it() -> None:
    with command.empty_folder() as root:
        (root / "m0").mkdir()
    assert not root.exists()


def test_who_looks_on_is_told_beside_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    command.say("round 1 of 3")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "round 1 of 3\n")


def test_a_campaign_that_cannot_cut_the_power_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "loop_reason", lambda: "no loop device")
    with pytest.raises(SystemExit, match="no power cuts here: no loop device"):
        command.need_loop_device()
    monkeypatch.setattr(command, "loop_reason", lambda: "")
    command.need_loop_device()
