"""A few thousand frames of a member that lies; `python -m tests.fuzz.peers` sends 50,000."""

from pathlib import Path

import pytest

from roost.sim.members.loop import run_virtually
from tests.fuzz.peers import lie_to_a_cluster

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
def test_frames_of_a_member_that_lies_end_links_and_no_member(tmp_path: Path, seed: int) -> None:
    """Of 50,000 such frames 39 ended a member, once by "two leaders in one term"."""
    counts = run_virtually(lie_to_a_cluster(tmp_path, frames=3000, seed=seed))
    assert sum(counts.values()) == 3000
    assert {it.partition(":")[0] for it in counts} == {"taken", "ended the link"}
    # What is overheard is of kinds that there are: half of all was none once, and lied to nobody.
    assert counts["ended the link: PeerFault"] < 300
