"""Why a member cannot be reached is said once, in words, and again when it was reached between."""

import ssl

import pytest

from roost.peer.errors import WrongCluster
from roost.peer.troubles import _HELD_MAX, Troubles, words_of_tls

HERE = ("10.0.0.1", 2380)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.levelname == "WARNING"]


def test_each_reason_is_said_once_for_each_member(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    """A link tries for ever, several times a second."""
    for member_id in (0xA, 0xB):
        for _ in range(3):
            troubles.note(member_id, HERE, ConnectionRefusedError(111, "Connection refused"))
            troubles.note(member_id, HERE, TimeoutError())
    lines = said(caplog)
    assert len(lines) == 4
    assert lines[0].startswith("member a cannot be reached at 10.0.0.1:2380: ")
    assert lines[2].startswith("member b cannot be reached at 10.0.0.1:2380: ")


def test_who_was_reached_and_is_gone_again_is_news(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    error = ConnectionRefusedError(111, "Connection refused")
    troubles.note(0xA, HERE, error)
    troubles.forget(0xB)
    troubles.note(0xA, HERE, error)
    assert len(said(caplog)) == 1, "somebody else was reached"
    troubles.forget(0xA)
    troubles.note(0xA, HERE, error)
    assert len(said(caplog)) == 2


def test_who_answers_and_is_not_believed_is_there(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked for elsewhere than a machine that is down."""
    troubles.note(0xA, HERE, WrongCluster("another cluster's"))
    (line,) = said(caplog)
    assert line == "who answers as member a at 10.0.0.1:2380 is not believed: another cluster's"


def test_whoever_thinks_of_many_reasons_takes_no_more_memory(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10 * _HELD_MAX):
        troubles.note(0xA, HERE, WrongCluster(f"reason {number}"))
        assert len(troubles._said[0xA]) <= _HELD_MAX
    assert len(said(caplog)) == 10 * _HELD_MAX


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "peer URLs are https, and must be on all members"),
        ("HTTP_REQUEST", "peer URLs are https, and must be on all members"),
        ("UNEXPECTED_EOF_WHILE_READING", "are its peer URLs https, as here"),
        ("CERTIFICATE_VERIFY_FAILED", "TLS: "),
    ],
)
def test_a_handshake_that_failed_says_what_to_look_at(reason: str, words: str) -> None:
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower().replace('_', ' ')} (_ssl.c:1000)")
    error.reason = reason
    assert words in words_of_tls(error)
