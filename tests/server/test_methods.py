"""What the headers of a request say, and what is answered to those that say it wrong."""

import pytest

from roost.call import Code, Status, Unary
from roost.server.methods import Head, Methods

ROUTE = Unary(lambda call, _message: call.reply(b""))
PATH = b"/etcdserverpb.KV/Range"
PLAIN = [(b":method", b"POST"), (b":path", PATH), (b"content-type", b"application/grpc")]


def read(*more: tuple[bytes, bytes]) -> Head:
    """A good request, with more headers or others."""
    names = {name for name, _ in more}
    kept = [it for it in PLAIN if it[0] not in names]
    return Methods({PATH: ROUTE}).read_head([*kept, *more])


def test_a_request_that_says_nothing_more_is_served_without_a_limit() -> None:
    head = read()
    assert (head.route, head.refusal, head.http_status) == (ROUTE, None, 0)
    assert (head.timeout_s, head.token, head.needs_leader, head.is_compressed) == (
        None, "", False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "what", "said"),
    [
        (b"grpc-timeout", b"250m", "timeout_s", 0.25),
        (b"token", b"abc.1", "token", "abc.1"),
        (b"authorization", b"Bearer abc.1", "token", "abc.1"),
        (b"hasleader", b"true", "needs_leader", True),
        (b"hasleader", b"false", "needs_leader", False),
        (b"grpc-encoding", b"gzip", "is_compressed", True),
        (b"grpc-encoding", b"identity", "is_compressed", False),
        (b"content-type", b"application/grpc+proto", "http_status", 0),
        (b"content-type", b"text/plain", "http_status", 415),
        (b":method", b"GET", "http_status", 405),
    ],
)
def test_a_header_is_read_as_grpc_and_etcd_mean_it(
    name: bytes, value: bytes, what: str, said: object
) -> None:
    assert getattr(read((name, value)), what) == said


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        (b"grpc-timeout", b"soon", Status(Code.INTERNAL, "malformed grpc-timeout")),
        (b":path", b"/no.Such/Range", Status(Code.UNIMPLEMENTED, "unknown service no.Such")),
        (
            b":path",
            b"/etcdserverpb.KV/Guess",
            Status(Code.UNIMPLEMENTED, "unknown method Guess for service etcdserverpb.KV"),
        ),
    ],
)
def test_a_header_that_is_wrong_is_the_answer(name: bytes, value: bytes, refusal: Status) -> None:
    assert read((name, value)).refusal == refusal


def test_calls_of_a_method_are_counted_together_and_of_none_apart() -> None:
    methods = Methods({PATH: ROUTE})
    assert methods.read_head(PLAIN).figures is methods.figures[PATH]
    unknown = methods.read_head([*PLAIN, (b":path", b"/no.Such/Range")])
    assert unknown.figures not in methods.figures.values()
