"""What stands behind a question mark, and what is no question."""

import pytest

from roost.dashboard.storing import BadQuestion, asked
from roost.exchange import Request
from tests.dashboard.test_interface import Somebody


def question(query: bytes) -> Request:
    return Request(method="GET", raw_path=b"/", query=query, caller=Somebody())


def test_texts_numbers_and_keys_are_told_apart() -> None:
    found = asked(question(b"tree=a%20b&limit=7&from=00ff&from=01"))
    assert (found.text("tree"), found.count("limit", 3), found.key("from")) == ("a b", 7, b"\1")
    nothing = asked(question(b""))
    assert (nothing.text("tree"), nothing.count("limit", 3), nothing.key("from")) == ("", 3, b"")


@pytest.mark.parametrize("said", ["0", "-1", "x", "1.5", "%D9%A3", "9" * 10])
def test_a_number_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(BadQuestion, match="limit is to be a number from 1 on"):
        asked(question(f"limit={said}".encode())).count("limit", 1)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadQuestion, match="hexadecimal"):
        asked(question(b"from=0g")).key("from")
    for query in (b"a=\xff", b"a=%ff", b"&".join([b"a=1"] * 17)):
        with pytest.raises(BadQuestion, match="cannot be read"):
            asked(question(query))
