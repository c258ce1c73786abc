"""Attempts to log in: how many, at which name, from where, and what is remembered of them."""

from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.access import attempts
from roost.etcd.access.attempts import Attempts
from roost.flow import network_of

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "begin", "succeed", "time"]),
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.integers(1, 12),
    )
)


@given(STEPS)
def test_of_a_name_from_a_network_so_many_fail_in_a_window(
    steps: list[tuple[str, str, str, int]],
) -> None:
    """The model is what was tried in the window of each, without those that succeeded."""
    now_s = 0.0
    counts = Attempts(lambda: now_s)
    windows: dict[tuple[str, str], tuple[float, int]] = {}
    for what, name, network, number in steps:
        if what == "time":
            now_s += number * attempts.WINDOW_S / 8
            continue
        began_s, count = windows.get((name, network), (now_s, 0))
        if what == "succeed":
            if count:
                counts.succeed(name, network)
                windows[name, network] = (began_s, count - 1)
            continue
        for _ in range(number):
            if now_s >= began_s + attempts.WINDOW_S:
                began_s, count = now_s, 0
            may = count < attempts.FAILURES_MAX
            assert counts.begin(name, network) == may
            count += may
            windows[name, network] = (began_s, count)


def test_a_place_is_an_address_or_a_customers_network() -> None:
    assert network_of("10.1.2.3") == "10.1.2.3"
    assert network_of("::ffff:10.1.2.3") == "10.1.2.3"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""


def test_what_was_tried_takes_bounded_room() -> None:
    now_s = 0.0
    counts = Attempts(lambda: now_s)
    for number in range(3 * attempts.ROWS_MAX):
        name, network = "n" * 1000 + str(number), str(number)
        counts.fail(name, network)
        counts.begin(name, network)
    assert len(counts._windows) <= attempts.ROWS_MAX
    assert len(counts._failed_s) <= attempts.ROWS_MAX


def test_who_succeeds_is_no_suspect_and_who_fails_is_one_for_a_while() -> None:
    now_s = 0.0
    counts = Attempts(lambda: now_s)
    for name in ("mistyped", "guessed"):
        assert counts.begin(name, "here")
        counts.fail(name, "here")
        assert counts.is_suspect(name, "here")
        assert not counts.is_suspect(name, "there")
    counts.succeed("mistyped", "here")
    assert not counts.is_suspect("mistyped", "here")
    now_s = attempts.SUSPECT_S
    assert not counts.is_suspect("guessed", "here")
