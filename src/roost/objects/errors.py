"""What whoever uses a replicated object can be told, besides what a database says.

Where CPython's type of that name raises KeyError, IndexError or ValueError, so does ours.
"""

import queue
import threading

from roost.errors import CallerFault, RoostError


class QueueEmpty(CallerFault, queue.Empty):
    """There is nothing to be taken, and it was not waited for, or not for long enough."""


class QueueFull(CallerFault, queue.Full):
    """There is no room, and it was not waited for, or not for long enough."""


class NotHeld(CallerFault, RuntimeError):
    """It is not held by this object, so it cannot be given back: take it first."""


class AlreadyHeld(CallerFault):
    """The object holds it already, or waits for it: one object has one place; make another one."""


class WaitedTooLong(CallerFault, TimeoutError):
    """It was not ours in time."""


class BarrierBroken(CallerFault, threading.BrokenBarrierError):
    """The barrier was broken, by somebody or by waiting too long: whoever waits goes on alone."""


class LeaseLost(RoostError):
    """What was held is not any more: its lease was not looked after in time.

    The cluster could not be reached, or this process stood still.  Somebody else may have it.
    """
