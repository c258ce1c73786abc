"""Puts at a pace, from many clients at once, and how long each took.

Each put has its time; whoever is late goes on at once, so a cluster that is slow for a while is
asked for what it missed.  Time is counted from when a put is sent, as etcdctl's check does.

Full?  As many puts are on their way as there are clients, and no more wait.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from roost.client import ClientError
from roost.client.aio import Client


@dataclass(frozen=True, slots=True)
class Load:
    """So many clients; so many puts a second, 0 for as fast as it goes; `count` puts in all."""

    client_count: int
    per_second: int
    count: int
    value_bytes: int = 1024


@dataclass(slots=True)
class Measured:
    """What was measured."""

    took_s: list[float] = field(default_factory=list)
    failed_count: int = 0
    first_trouble: ClientError | None = None
    elapsed_s: float = 0.0
    # Which part of the time this process computed: near 1 it is it that was slow.
    busy_part: float = 0.0

    @property
    def per_second(self) -> float:
        """Puts that were acknowledged, a second."""
        return len(self.took_s) / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def mean_s(self) -> float:
        """How long one took on average."""
        return sum(self.took_s) / len(self.took_s) if self.took_s else 0.0

    @property
    def deviation_s(self) -> float:
        """The standard deviation of that."""
        if not self.took_s:
            return 0.0
        mean = self.mean_s
        return math.sqrt(sum((it - mean) ** 2 for it in self.took_s) / len(self.took_s))

    def within_s(self, part: float) -> float:
        """How long at most that part of them took; 1 is the slowest."""
        if not self.took_s:
            return 0.0
        ordered = sorted(self.took_s)
        return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


async def put_all(
    client: Client,
    load: Load,
    key_of: Callable[[int], bytes],
    value: bytes,
    on_progress: Callable[[int], None],
) -> Measured:
    """Put `load.count` keys."""
    measured = Measured()
    numbers = iter(range(load.count))
    begin_s, computed_s = time.monotonic(), time.process_time()
    await asyncio.gather(
        *(
            _put_some(client, load, numbers, key_of, value, measured, begin_s, on_progress)
            for _ in range(min(load.client_count, load.count))
        )
    )
    measured.elapsed_s = time.monotonic() - begin_s
    measured.busy_part = (time.process_time() - computed_s) / measured.elapsed_s
    return measured


async def _put_some(
    client: Client,
    load: Load,
    numbers: Iterator[int],
    key_of: Callable[[int], bytes],
    value: bytes,
    measured: Measured,
    begin_s: float,
    on_progress: Callable[[int], None],
) -> None:
    for number in numbers:
        if load.per_second:
            early_s = begin_s + number / load.per_second - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(early_s)
        sent_s = time.monotonic()
        try:
            await client.put(key_of(number), value)
        except ClientError as error:
            measured.failed_count += 1
            measured.first_trouble = measured.first_trouble or error
        else:
            measured.took_s.append(time.monotonic() - sent_s)
        on_progress(len(measured.took_s))
