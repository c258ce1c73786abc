"""A small mutation fuzzer: good bytes, made worse step by step, the same ones for every seed."""

import random
from collections.abc import Callable, Iterator, Sequence

from tests.samples import SAMPLES

EXECUTIONS = 40_000 * SAMPLES
_INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x80" * 10, b"\0" * 8)


def mutations(corpus: Sequence[bytes], *, seed: int = 1) -> Iterator[bytes]:
    """`EXECUTIONS` pieces of data: the corpus itself, then what becomes of it."""
    dice = random.Random(seed)
    yield from corpus
    for _ in range(EXECUTIONS - len(corpus)):
        data = bytearray(dice.choice(corpus))
        for _ in range(1 + int(dice.expovariate(0.7))):
            mutate(dice, data, corpus)
        yield bytes(data)


def mutate(dice: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    """Make one change, where the dice say."""
    at = dice.randrange(len(data) + 1)
    match dice.randrange(7):
        case 0 if data:
            data[at % len(data)] ^= 1 << dice.randrange(8)
        case 1 if data:
            data[at % len(data)] = dice.randrange(256)
        case 2:
            data[at:at] = dice.choice(_INTERESTING)
        case 3:
            del data[at : at + 1 + dice.randrange(8)]
        case 4:
            other = dice.choice(corpus)
            data[at:] = other[dice.randrange(len(other) + 1) :]
        case 5:
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
        case _:
            del data[at:]


def fuzz(
    target: Callable[[bytes], object],
    corpus: Sequence[bytes],
    allowed: type[Exception] | tuple[type[Exception], ...] = (),
    *,
    seed: int = 1,
) -> int:
    """Run `target` on all of them; how often it was content.

    Only `allowed` errors may come; anything else fails, with the bytes that did it.
    """
    content = 0
    for data in mutations(corpus, seed=seed):
        try:
            target(data)
        except allowed:
            continue
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\nby {data.hex()}") from error
        content += 1
    return content
