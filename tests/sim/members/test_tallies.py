"""The judge of counters: what a part may read, by what was counted and deleted there."""

from roost.sim.members.tallies import Tallies


def counted(*changes: int, owner: str = "m0", tallies: Tallies | None = None) -> Tallies:
    found = tallies or Tallies()
    found.of("a", owner).increments += changes
    return found


def test_what_was_counted_is_there_as_a_whole() -> None:
    tallies = counted(1, 2, 4)
    assert tallies.faults("a", {"m0": 7}) == []
    for wrong in (0, 3, 6, 8):
        assert tallies.faults("a", {"m0": wrong}) != []
    assert tallies.faults("a", {}) == ["a of m0 reads 0, which is none of [7]"]
    assert tallies.faults("a", {"m0": 7, "m1": 1}) != []


def test_a_delete_takes_what_it_may_have_seen_and_all_where_it_was_asked() -> None:
    tallies = counted(1, 2, 4)
    counted(8, 16, owner="m1", tallies=tallies)
    tallies.note_delete("a", "m0", is_done=False)
    for m0 in (0, 4, 6, 7):
        assert tallies.faults("a", {"m0": m0, "m1": 24}) == []
    tallies.note_delete("a", "m0", is_done=True)
    counted(32, tallies=tallies)
    for m1 in (0, 16, 24):
        assert tallies.faults("a", {"m0": 32, "m1": m1}) == []
    assert tallies.faults("a", {"m0": 36, "m1": 24}) != []
    assert tallies.faults("a", {"m0": 32, "m1": 8}) != []


def test_of_who_is_gone_the_end_may_be_missing_and_of_who_was_rolled_back_anything() -> None:
    tallies = counted(1, 2, 4)
    tallies.gone.add("m0")
    for left in (0, 1, 3, 7):
        assert tallies.faults("a", {"m0": left}) == []
    assert tallies.faults("a", {"m0": 2}) != []
    tallies.doubtful.add("m0")
    assert tallies.faults("a", {"m0": 2}) == []


def test_places_are_those_where_anything_was_counted() -> None:
    tallies = counted(1)
    counted(1, owner="m1", tallies=tallies)
    assert {it.owner for it in tallies.places()} == {"m0", "m1"}
