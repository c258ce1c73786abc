"""Where every entry is: columns that stay in step, whatever is done to them."""

from hypothesis import given
from hypothesis import strategies as st

from roost.journal.index import Damage, Index, Place

PLACES = st.builds(
    Place,
    st.integers(1, 9),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 26),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 1 << 40),
    st.integers(0, 2),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), PLACES),
        st.tuples(st.just("truncate"), st.integers(0, 40)),
        st.tuples(st.just("drop"), st.integers(0, 40)),
        st.tuples(st.just("damage"), st.integers(0, 40)),
    ),
    max_size=60,
)
DAMAGE = Damage(0, 0, 0, is_certain=True)


@given(STEPS)
def test_an_index_is_a_dict_of_places(steps: list[tuple[str, Place | int]]) -> None:
    index, model = Index(), dict[int, Place]()
    damaged: set[int] = set()
    for step, what in steps:
        if isinstance(what, Place):
            index.append(what)
            model[index.last] = what
        elif step == "truncate" and what > index.base:
            index.truncate(what)
            model = {it: place for it, place in model.items() if it < what}
        elif step == "drop" and what <= index.last:
            index.drop_to(what)
            model = {it: place for it, place in model.items() if it > what}
        elif step == "damage" and what in model:
            index.damaged[what] = DAMAGE
            damaged.add(what)
        damaged &= set(model)
        index.invariants()
        assert set(index.damaged) == damaged
        assert {it: index.place(it) for it in range(index.base + 1, index.last + 1)} == model


def test_the_entry_below_the_first_keeps_its_term() -> None:
    """What follows is checked against it, when the entry itself is gone."""
    index = Index()
    for term in (1, 1, 4, 5):
        index.append(Place(1, 0, 0, 0, term, 0))
    index.drop_to(3)
    assert [index.term_at(it) for it in range(2, 6)] == [None, 4, 5, None]


def test_an_entry_that_may_be_torn_leaves_the_index_in_doubt() -> None:
    index = Index()
    index.append(Place(1, 0, 0, 0, 1, 0))
    assert index.is_certain
    index.damaged[1] = Damage(0, 0, 0, is_certain=False)
    assert not index.is_certain
