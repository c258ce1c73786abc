"""Clusters of tests: nothing of them is left when they end."""

from pathlib import Path

import pytest

from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import wait_until
from roost.testing.processes import children_of, is_there


@pytest.mark.slow
def test_what_a_member_runs_under_does_not_leave_it_behind(tmp_path: Path) -> None:
    """A tracer that is killed lets go of what it traces, and so does this shell."""
    under = ("sh", "-c", '"$@" & wait', "sh")
    with Cluster(tmp_path, 1, command=[*under, *ROOST]) as cluster:
        cluster.leader()
        (member,) = children_of(cluster.process(0).pid)
        assert is_there(member)
    wait_until(lambda: not is_there(member))
