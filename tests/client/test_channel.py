"""The way to an endpoint: one that was away for long is looked for as often as before."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from roost.client import Client, ClientError
from roost.testing.patience import PATIENCE_S

ATTEMPTS = 9


class Refusing:
    """Takes connections, and ends them."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.began_s: list[float] = []
        self.is_enough = threading.Event()

    def run(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connection, _ = self._listener.accept()
                self.began_s.append(time.monotonic())
                connection.close()
                if len(self.began_s) >= ATTEMPTS:
                    self.is_enough.set()


@contextmanager
def refusing() -> Iterator[tuple[Refusing, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        it = Refusing(listener)
        thread = threading.Thread(target=it.run)
        thread.start()
        yield it, f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.slow
def test_a_member_that_is_away_for_long_is_looked_for_all_the_time() -> None:
    """It was, in the end, every two minutes: who asked when it was back was told it was away."""
    with refusing() as (member, endpoint), Client(endpoint, timeout_s=1) as client:
        until_s = time.monotonic() + PATIENCE_S
        while not member.is_enough.is_set():
            assert time.monotonic() < until_s
            with suppress(ClientError):
                client.get(b"k")
    # The eighth pause was half a minute, by default.
    assert member.began_s[-1] - member.began_s[-2] < 20
