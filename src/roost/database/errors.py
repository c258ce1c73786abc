"""What a program that uses a database can be told; each text says what to do next.

    it did not happen          `Refused`, `CallerFault`, `NotExecuted`, and their leaves
    it may have happened       `roost.OutcomeUnknown`
    this member is at its end  `MemberEnded`
    it cannot be called        `Closed`, `Forked`, `CalledInsideLoop` of `roost.faces`, `WrongLoop`

A refusal travels from the member that ran the operation as its kind, its text and its code
(`answers`), so it is the same error whichever member was asked.
"""

from roost import errors
from roost.errors import CallerFault, DeviceFault, OutcomeUnknown


class Refused(errors.Refused):
    """An operation said no, and nothing that it wrote is kept.

    Raise it in an operation of your own; `code` is for programs, the text for people.
    """

    def __init__(self, text: str = "", *, code: str = "") -> None:
        """Say why; `code` is a word that the caller can compare."""
        super().__init__(text)
        self.code = code


class UnknownOperation(Refused):
    """The member that leads knows no operation of that name."""


class OperationFailed(Refused):
    """The operation raised something else; the log of the member that led has all of it."""


class WriteSetTooLarge(Refused):
    """One operation wrote more than a write set may hold."""


class KeyTooLarge(Refused):
    """A key has more bytes than its tree, or the database, allows."""


class ValueTooLarge(Refused):
    """A value has more bytes than its tree, or the database, allows."""


class OtherCodec(Refused):
    """The tree holds keys or values of another kind than it was opened with."""


class NotYourTree(Refused):
    """A tree of that name belongs to the database itself, or to one of its services."""


class OnceTaken(Refused):
    """The key given as `once` was used for another operation, or for other arguments."""


class Conflict(Refused):
    """Something that an optimistic transaction read has changed; nothing of it is kept."""


class BadDeclaration(CallerFault):
    """An operation is declared so that its name or its arguments cannot travel."""


class BadArgument(CallerFault):
    """An operation was given something else than its annotations say."""


class BadKey(CallerFault):
    """A key is of another type than its tree's, or has no place in its order."""


class BadValue(CallerFault):
    """A value is of another type than its tree's."""


class BadOpening(CallerFault):
    """What `open` was told contradicts itself, or the directory."""


class ViewClosed(CallerFault):
    """The view is closed, or its time was over; open another one."""


class TransactionOver(CallerFault):
    """A transaction was used after its end; what is needed later must be returned from it."""


class DerivedFailed(CallerFault):
    """The function of a derived tree failed, so the tree stands still; the rest goes on.

    The text says at which row, and why.  Correct the function and open the database again; where
    it is to make other rows than before, raise its version.
    """


class DerivedDropped(CallerFault):
    """A derived tree was dropped; ask for it again, and it is made anew."""


class WrongLoop(CallerFault):
    """A call of the asyncio face came from another event loop, or from none."""


class Rebuilding(errors.NotExecuted):
    """A derived tree is being made anew; `share` of it is done, from 0 to 1, as far as one can say.

    Wait for it (`wait_built`), or read the source.
    """

    def __init__(self, text: str = "", *, share: float = 0.0) -> None:
        """Say of which tree, and how far it is."""
        super().__init__(text)
        self.share = share


class DerivedLost(DeviceFault):
    """Derived trees cannot be kept: their store fails again and again, and the rest goes on."""


class KeyUndecodable(DeviceFault):
    """A key in the tree is not of the kind that the tree is declared to have."""


class ValueUndecodable(DeviceFault):
    """A value in the tree is not of the type that it was opened with."""


class MemberEnded(DeviceFault):
    """The member in this process has stopped itself: it cannot trust its device or its state.

    What was acknowledged is safe.  Close the database; opening it again does what has to be done.
    """


class OtherResult(OutcomeUnknown):
    """The operation was done; what it returned where it ran is not of the type that it has here.

    Asking again with `once` is answered in the same way: do not.  Let an operation keep the type
    of its result, and give one that returns something else a new name.
    """


class MemberLost(OutcomeUnknown):
    """The member in this process ended before the answer came; what was asked may have happened."""
