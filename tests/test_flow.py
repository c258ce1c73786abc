"""Whose requests these are: a user, or a network; and by which connection they came."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.flow import OWN, OWNER_BYTES_MAX, Flow, flow_of, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_of_ipv4_and_a_customers_network_of_ipv6(
    address: str, network: str
) -> None:
    assert network_of(address) == network
    assert flow_of(address, 7) == Flow(network, 7)


def test_all_addresses_of_a_customer_share_its_turns_and_no_neighbours() -> None:
    ours = {network_of(f"2001:db8:1:2::{it:x}") for it in range(1, 50)}
    assert len(ours) == 1
    assert network_of("2001:db8:1:3::1") not in ours


def test_who_has_said_who_it_is_is_that_wherever_it_comes_from() -> None:
    owners = {flow_of(it, 1).as_user("ann").owner for it in ("10.0.0.1", "2001:db8::1")}
    assert len(owners) == 1
    assert flow_of("10.0.0.1", 9).as_user("ann").connection == 9


def test_no_user_is_a_network_nor_a_member_itself() -> None:
    """Or a user called "10.0.0.1" would take that network's turns, and one without a name ours."""
    assert OWN.as_user("").owner != OWN.owner
    assert OWN.as_user("10.0.0.1").owner != flow_of("10.0.0.1", 0).owner


@given(st.text())
@example("\N{GRINNING FACE}" * 300)
def test_a_name_of_any_length_travels(user: str) -> None:
    assert len(OWN.as_user(user).owner.encode(errors="backslashreplace")) <= OWNER_BYTES_MAX
