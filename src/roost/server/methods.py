"""The methods of a port: what each answers with, what was asked of it, what a request's head says.

Clients send the same headers again and again, and HTTP/2 sends them as the same bytes: they are
read once into a `Head`, and found again by those bytes (`h2.connection`).
"""

from collections.abc import Mapping, Set

from roost.call import Code, Route, Status, Unary, UnaryHandler
from roost.histogram import CALL_BOUNDS_S, Histogram
from roost.server.compression import ENCODINGS
from roost.server.h2.hpack import HEADER_LIST_BYTES_MAX
from roost.tracing import id_of

# gRPC clients send the first, the JSON gateway's the second (etcd: rpctypes/metadatafields.go).
_TOKEN_FIELDS = (b"token", b"authorization")
TIMEOUT_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS_MAX = 8


class MethodFigures:
    """How often a method was called, how the calls ended (by gRPC status), how long they took."""

    __slots__ = ("ended", "handling", "started_count")

    def __init__(self) -> None:
        """Nobody has called."""
        self.started_count = 0
        self.ended: dict[int, int] = {Code.OK: 0}
        self.handling = Histogram(CALL_BOUNDS_S)


class Head:
    """What the headers of a request say; one object for all equal requests."""

    __slots__ = (
        "figures",
        "handle",
        "http_status",
        "is_compressed",
        "is_light",
        "needs_leader",
        "path",
        "refusal",
        "route",
        "timeout_s",
        "token",
        "trace",
    )

    def __init__(self) -> None:
        """Nothing is known."""
        # There is one, or a refusal, or a status of HTTP's.
        self.route: Route | None = None
        # What handles a unary call that asks for nothing besides: no leader, no deadline.
        self.handle: UnaryHandler | None = None
        self.refusal: Status | None = None
        self.http_status = 0
        self.timeout_s: float | None = None
        self.token = ""
        # The id of its way (`roost.tracing`): read though nobody looks, since a head is kept.
        self.trace = self.path = ""
        self.needs_leader = False
        self.is_compressed = False
        # Answered while memory is short, too.
        self.is_light = False
        self.figures = MethodFigures()


class Methods:
    """All methods served, by their paths."""

    def __init__(self, routes: Mapping[bytes, Route], light: Set[bytes] = frozenset()) -> None:
        """Nobody has called; those of `light` are answered while memory is short."""
        self._routes = routes
        self._light = light
        self.figures = {path: MethodFigures() for path in routes}
        self._services = {path.split(b"/")[1] for path in routes}

    def read_head(self, fields: list[tuple[bytes, bytes]]) -> Head:
        """Read a request's headers; whatever is wrong with them becomes its answer."""
        head = Head()
        path = content_type = method = b""
        for name, value in fields:
            if name == b":path":
                path = value
            elif name == b":method":
                method = value
            elif name == b"content-type":
                content_type = value
            elif name == b"grpc-timeout":
                head.timeout_s = parse_timeout(value)
                if head.timeout_s is None:
                    head.refusal = Status(Code.INTERNAL, "malformed grpc-timeout")
            elif name in _TOKEN_FIELDS:
                head.token = value.decode(errors="replace").removeprefix("Bearer ")
            elif name == b"hasleader":
                head.needs_leader = value == b"true"
            elif name == b"grpc-encoding" and value in ENCODINGS:
                head.is_compressed = value != b"identity"
            elif name == b"grpc-encoding":
                encoding = value.decode(errors="replace")
                text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
                head.refusal = Status(Code.UNIMPLEMENTED, text)
        if method != b"POST":
            head.http_status = 405
        elif not content_type.startswith(b"application/grpc"):
            head.http_status = 415
        head.figures = self.figures.get(path, head.figures)
        head.route = self._routes.get(path)
        head.trace = id_of(fields)
        if head.trace:
            head.path = path.decode(errors="replace")
        head.is_light = path in self._light
        if head.route is None and head.refusal is None:
            head.refusal = Status(Code.UNIMPLEMENTED, self._unknown(path))
        is_refused = head.http_status or head.refusal is not None
        asks_more = head.needs_leader or head.timeout_s is not None or head.is_compressed
        # A call with an id goes the longer way, so that others pay nothing for it.
        asks_more = asks_more or bool(head.trace)
        if isinstance(head.route, Unary) and not is_refused and not asks_more:
            head.handle = head.route.handle
        return head

    def large_head(self) -> Head:
        """Refuse a request whose headers are too large; nobody else on its connection notices."""
        head = Head()
        text = f"grpc: received metadata larger than max ({HEADER_LIST_BYTES_MAX} bytes)"
        head.refusal = Status(Code.RESOURCE_EXHAUSTED, text)
        return head

    def _unknown(self, path: bytes) -> str:
        """grpc-go's words for a method that is not there."""
        service, _, method = path[1:].rpartition(b"/")
        if service in self._services:
            return (
                f"unknown method {method.decode(errors='replace')} for service {service.decode()}"
            )
        return f"unknown service {service.decode(errors='replace')}"


def parse_timeout(value: bytes) -> float | None:
    """A grpc-timeout in seconds; None when it is malformed."""
    text = value.decode("ascii", errors="replace")
    unit = TIMEOUT_UNITS.get(text[-1:])
    digits = text[:-1]
    if unit is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS_MAX:
        return None
    return int(digits) * unit
