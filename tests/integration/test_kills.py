"""Members are killed under load: nothing acknowledged is lost, reads stay linearizable."""

from pathlib import Path

import pytest

from roost.sim.linearizability import Verdict
from roost.testing.campaign import run_changes, run_kills

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
FAILOVER_S_MAX = 2.0


def test_kills_of_leader_follower_and_all_lose_nothing(tmp_path: Path) -> None:
    report = run_kills(tmp_path, rounds=2, say=print)
    assert report.lost == []
    assert report.verdict == Verdict.LINEARIZABLE.value
    assert report.acknowledged > 500
    assert max(report.leader_failover_s) < FAILOVER_S_MAX


def test_members_are_removed_added_and_replaced_under_load_and_kills(tmp_path: Path) -> None:
    report = run_changes(tmp_path, rounds=1, say=print)
    assert report.changes == 3
    assert report.lost == []
    assert report.verdict == Verdict.LINEARIZABLE.value
    assert report.acknowledged > 500
