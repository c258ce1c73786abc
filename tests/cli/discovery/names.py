"""A name server of a test's own, on loopback: SRV records over UDP (RFC 1035, 2782)."""

import socket
import struct
from collections.abc import Mapping, Sequence
from threading import Thread

_HEAD = struct.Struct(">HHHHHH")
_SRV, _IN = 33, 1
_NXDOMAIN, _SERVFAIL = 3, 2
_ANSWER = 0x8400


def _encoded(name: str) -> bytes:
    labels = [it.encode() for it in name.strip(".").split(".") if it]
    return b"".join(bytes([len(it)]) + it for it in labels) + b"\0"


class NameServer:
    """Answers by a table: of a name its (priority, weight, port, target), or None: it fails."""

    def __init__(self, records: Mapping[str, Sequence[tuple[int, int, int, str]] | None]) -> None:
        self._records = records
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = Thread(target=self._serve)

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        host, port = self.place.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (host, int(port)))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        labels, offset = [], _HEAD.size
        while query[offset]:
            stop = offset + 1 + query[offset]
            labels.append(query[offset + 1 : stop].decode())
            offset = stop
        name, question = ".".join(labels), query[_HEAD.size : offset + 5]
        self.asked.append(name)
        number = int.from_bytes(query[:2], "big")
        rows = self._records.get(name, ())
        code = _SERVFAIL if rows is None else 0 if name in self._records else _NXDOMAIN
        head = _HEAD.pack(number, _ANSWER | code, 1, len(rows or ()), 0, 0)
        answer = b""
        for priority, weight, port, target in rows or ():
            data = struct.pack(">HHH", priority, weight, port) + _encoded(target)
            answer += _encoded(name) + struct.pack(">HHIH", _SRV, _IN, 60, len(data)) + data
        return head + question + answer
