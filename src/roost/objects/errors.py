"""What whoever uses a replicated object can be told, besides what a database says.

Where CPython's type of that name raises KeyError, IndexError or ValueError, so does ours.
"""

import queue
import threading

from roost.errors import CallerFault, NotExecuted, OutcomeUnknown, Overloaded, RoostError


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


class MachineNotOpen(NotExecuted):
    """The member that leads has not opened the machine: open it on all members, and ask again."""


class MachineBehind(Overloaded):
    """The member that leads has not carried out so many commands yet that it takes no more."""


class ResultLost(OutcomeUnknown):
    """The command is in the log, and is carried out by all members; what came of it is not known.

    This member's copy was too slow, has stopped before it, or went on from a snapshot that has it.
    """


class MachineStopped(RoostError):
    """A copy of the machine has stopped, and takes no commands; the text says at which, and why.

    The database goes on.  Start the members again with a program that is mended: they begin with
    the last snapshot.
    """


class CommandFailed(MachineStopped):
    """A command raised something else than `Refused`; every copy stops there."""


class CommandUnknown(MachineStopped):
    """The machine in this program has no command of that name, or other arguments: upgrade it."""


class MachineDiffers(MachineStopped):
    """What came of commands here and where the cluster led is not the same."""


class SnapshotUnreadable(MachineStopped):
    """The machine's `load` has failed, or the snapshot is not what was written."""


class SnapshotFailed(RoostError):
    """The machine's `save` has failed; the last snapshot is there still, and so is all since."""
