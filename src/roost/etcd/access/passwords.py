"""Passwords: whether one is right, and what is kept of a new one; both on threads (`hashers`).

A name that is nobody's is answered after as long as one of the last checks took, and costs no
hasher; equal passwords for a name that come at once are checked once, so a fleet that comes back
does not queue behind itself.

Full?  Attempts are limited for a name from a network (`attempts`), whether there is such a user or
not; who waits for a hasher is bounded there.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import bcrypt

from roost.errors import NotExecuted
from roost.etcd.access.attempts import Attempts
from roost.etcd.access.hashers import PASSWORD_BYTES_MAX, Hashers
from roost.outcome import Waiting


class Attempt(NamedTuple):
    """A password that is to be checked, for a name, as asked from a network."""

    name: str
    network: str
    # The hash that is kept; empty when nobody can log in by that name.
    held: bytes
    given: bytes


# Whether the password is right; raises what kept it from being checked.
Result = Callable[[], bool]


class Passwords:
    """Those of all users of one member, whoever keeps them."""

    def __init__(self, hashers: Hashers, *, bcrypt_cost: int, clock_s: Callable[[], float]) -> None:
        """Nothing is being checked; `clock_s` never goes back."""
        self.hashers = hashers
        self._bcrypt_cost = bcrypt_cost
        self._attempts = Attempts(clock_s)
        # Who is told of each password that is being checked.
        self._checking: dict[Attempt, list[_Asking]] = {}

    def check(self, attempt: Attempt, told: Callable[[Result], None], waiting: Waiting) -> bool:
        """Check one; `told` is called once, in the loop.

        False when it may not be tried now, and nothing is called then.
        """
        attempt = attempt._replace(given=attempt.given[:PASSWORD_BYTES_MAX])
        asking = _Asking(told, waiting)
        together = self._checking.get(attempt)
        if together is not None:
            together.append(asking)  # somebody asks the same at this moment
            return True
        if not self._attempts.begin(attempt.name, attempt.network):
            return False
        self._checking[attempt] = [asking]
        given, held = attempt.given, attempt.held
        if held:
            self._work(attempt, lambda: bcrypt.checkpw(given, held))
        elif self.hashers.is_measured:
            asyncio.get_running_loop().call_later(
                self.hashers.draw_s(), self._tell, attempt, lambda: False
            )
        else:  # once in a process: to learn how long it takes
            cost = self._bcrypt_cost
            self._work(attempt, lambda: not bcrypt.hashpw(given, bcrypt.gensalt(cost)))
        return True

    def hash(
        self,
        network: str,
        password: bytes,
        done: Callable[["asyncio.Future[bytes]"], None],
        waiting: Waiting | None,
    ) -> None:
        """Make what is kept of a new password; `done(future)` is called once, in the loop."""
        cost = self._bcrypt_cost
        self.hashers.run(
            network,
            "",
            lambda: bcrypt.hashpw(password, bcrypt.gensalt(cost)),
            done,
            waiting=waiting,
        )

    def _work(self, attempt: Attempt, work: Callable[[], bool]) -> None:
        def done(future: "asyncio.Future[bool]") -> None:
            if isinstance(future.exception(), NotExecuted):
                self._attempts.take_back(attempt.name, attempt.network)
            self._tell(attempt, future.result)

        self.hashers.run(
            attempt.network,
            attempt.name,
            work,
            done,
            is_suspect=self._attempts.is_suspect(attempt.name, attempt.network),
            waiting=_Together(self._checking[attempt]),
        )

    def _tell(self, attempt: Attempt, result: Result) -> None:
        """Tell all who asked the same."""
        for asking in self._checking.pop(attempt):
            asking.told(lambda: self._judged(attempt, result))

    def _judged(self, attempt: Attempt, result: Result) -> bool:
        is_right = result()
        if is_right:
            self._attempts.succeed(attempt.name, attempt.network)
        else:
            self._attempts.fail(attempt.name, attempt.network)
        return is_right


@dataclass(frozen=True, slots=True)
class _Asking:
    told: Callable[[Result], None]
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class _Together:
    """All who ask the same."""

    askings: list[_Asking]

    @property
    def is_over(self) -> bool:
        """Whether none of them waits any more."""
        return all(it.waiting.is_over for it in self.askings)
