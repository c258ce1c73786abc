"""Bodies of users and roles, as Go reads them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.etcd.v2.user_changes import PutRole, PutUser
from roost.etcd.v2.user_forms import BODY_BYTES_MAX, BadBody, read_role, read_user
from roost.etcd.v2.users import Patterns


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"user":"bob"}', PutUser("bob", b"", None)),
        (b'{"USER":"bob","Roles":[]}', PutUser("bob", b"", ())),
        (b' {"user":"a","user":"b"} and more', PutUser("b", b"", None)),
        (b'{"user":"a","user":null,"other":{"x":[1]}}', PutUser("a", b"", None)),
        (
            b'{"user":"a","grant":["x",null],"revoke":["y"]}',
            PutUser("a", b"", None, ("x", ""), ("y",)),
        ),
        (b"null", PutUser("", b"", None)),
        (b'{"user":"\\ud800"}', PutUser("\ufffd", b"", None)),
        (b'{"user":"\xff"}', PutUser("\ufffd", b"", None)),
    ],
)  # fmt: skip
def test_users_are_read_as_go_reads_them(body: bytes, expected: PutUser) -> None:
    assert read_user(body) == (expected, b"")


def test_a_password_is_given_apart_from_what_travels() -> None:
    asked, password = read_user('{"user":"bob","password":"\u00e9"}'.encode())
    assert asked == PutUser("bob", b"", None)
    assert password == "\u00e9".encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"role":"r"}', PutRole("r", Patterns())),
        (
            b'{"role":"r","permissions":{"kv":{"read":["/a"],"write":null}}}',
            PutRole("r", Patterns(("/a",), None)),
        ),
        (
            b'{"role":"r","grant":{"kv":{"write":["/a"]}},"revoke":{}}',
            PutRole("r", Patterns(), Patterns(None, ("/a",)), Patterns()),
        ),
        (b'{"role":"r","grant":null}', PutRole("r", Patterns())),
    ],
)
def test_roles_are_read_as_go_reads_them(body: bytes, expected: PutRole) -> None:
    assert read_role(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"user":1}',
        b'{"user":"a","roles":"x"}',
        b'{"user":"a","roles":[1]}',
        b'{"user":NaN}',
        b"[" * 50_000,
        b'{"user":"' + b"x" * BODY_BYTES_MAX + b'"}',
    ],
)
def test_what_is_no_user_is_refused(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_user(body)


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (read_user, read_role):
        try:
            read(body)
        except BadBody:
            continue
