"""Transactions as etcdctl reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.cli.statements import (
    PROMPTS,
    BadStatement,
    parse_comparison,
    parse_operation,
    read_prompted,
    read_txn,
)
from roost.client import Delete, Get, Key, Put
from roost.client.transactions import Txn
from roost.proto import rpc_pb2 as pb

# From etcdctl's own page about `txn`.
PAGE = """\
mod("key1") > "0"

put key1 "overwrote-key1"

put key1 "created-key1"
put key2 "some extra key"

"""


def test_the_example_of_etcdctls_page_is_what_it_says() -> None:
    said = read_txn(PAGE.splitlines())
    wanted = Txn(
        [Key("key1").mod_revision > 0],
        [Put("key1", "overwrote-key1")],
        [Put("key1", "created-key1"), Put("key2", "some extra key")],
    )
    assert said.request() == wanted.request()
    assert read_txn(PAGE.rstrip().splitlines()).request() == wanted.request()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('c("a") = "5"', Key("a").create_revision == 5),
        ('create("a")=5', Key("a").create_revision == 5),
        ('m("a") < "7"', Key("a").mod_revision < 7),
        ('ver("a") != "1"', Key("a").version != 1),
        ('version("a b") > 1', Key("a b").version > 1),
        ('val("a") = "x y"', Key("a").value == "x y"),
        (r'value("a\"b") = "\x00\n\101\\"', Key('a"b').value == b"\0\nA\\"),
        ('lease("a") = "1f"', Key("a").lease == 31),
    ],
)
def test_comparisons_are_read(line: str, wanted: object) -> None:
    assert parse_comparison(line).message() == wanted.message()  # type: ignore[attr-defined]  # equality makes conditions


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("put k v", Put("k", "v")),
        ("put 'a b' \"c d\" --lease=1f", Put("a b", "c d", 31)),
        ("get k", Get("k")),
        ("get a b --limit=5", Get("a", "b", limit=5)),
        ("del k --prefix", Delete("k", prefix=True)),
        ("del a b", Delete("a", "b")),
    ],
)
def test_operations_are_read(line: str, wanted: Put | Get | Delete) -> None:
    assert parse_operation(line).message() == wanted.message()


@pytest.mark.parametrize(
    "lines",
    [
        "mod(key1) > 0",
        'size("key1") > "0"',
        'mod("key1") > "many"',
        'mod("key1") >= "0"',
        'mod("key1") > "99999999999999999999"',
        r'value("\400") = "1"',
        "\nput k",
        "\nput k v w",
        "\nget",
        "\nget a --backwards",
        "\nget a b --prefix",
        "\nget a --limit=x",
        "\nincrement k",
        '\nput "k v',
        "\n\n\nget behind",
    ],
)
def test_what_is_none_is_refused_in_words(lines: str) -> None:
    with pytest.raises(BadStatement):
        read_txn(lines.split("\n"))


@given(st.text() | st.text(alphabet='modvalue("\\x0n)=<> putgel-', max_size=40))
def test_any_text_is_a_transaction_or_none(text: str) -> None:
    try:
        assert isinstance(read_txn(text.splitlines()).request(), pb.TxnRequest)
    except BadStatement:
        pass  # most are none


def test_each_part_is_asked_for_and_nothing_is_read_behind_the_last() -> None:
    asked: list[str] = []
    rest = iter([*PAGE.splitlines(), "put left alone"])
    said = read_prompted(rest, asked.append)
    assert said.request() == read_txn(PAGE.splitlines()).request()
    assert asked == list(PROMPTS)
    assert next(rest) == "put left alone"
