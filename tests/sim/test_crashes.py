"""Every state a power cut may leave of a journal (the campaign: `python -m roost.sim.crashes`)."""

import pytest

from roost.sim.crashes import Script, Totals, count_calls, run_states
from roost.sim.members.disk import SimDisk, SimFile

pytestmark = pytest.mark.slow


def test_four_thousand_states_are_recovered() -> None:
    totals = run_states(4_000)
    assert totals.wrong == []
    assert totals.states >= 4_000
    assert totals.double > 300
    assert totals.doubtful > 100


def test_the_script_reaches_every_kind_of_call() -> None:
    disk = SimDisk()
    script = Script(disk)
    assert not script.run()
    assert script.journal is not None
    assert script.journal.last_index == 133
    assert count_calls() == disk.calls


def test_a_journal_that_does_not_sync_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The states and their judge would notice."""

    def pretend(file: SimFile) -> None:
        file._disk.counts_down()

    class Found(Exception):
        pass

    def look(totals: Totals) -> None:
        if totals.wrong:
            raise Found

    monkeypatch.setattr(SimFile, "sync_data", pretend)
    with pytest.raises(Found):
        run_states(3000, look)
