"""The root of every error Roost raises on purpose.

Three questions decide how a caller must react, so they are families:

* `CallerFault`: the request was wrong or came at the wrong moment; nothing happened.
* `PeerFault`: bytes from another process broke the rules; the connection ends, we go on.
* `DeviceFault`: the machine under us failed; what it says can no longer be trusted.

The outcome of a transaction is one of: a result, `Refused` (the operation itself said no and
wrote nothing), `NotExecuted` and its leaves (it never ran, retry is safe), or `OutcomeUnknown`
(it may or may not take effect: only the caller can know whether a retry is harmless).
Each package derives its own leaves from these in its `errors.py`, named for the fact.  What a
client is told of a leaf is decided where clients are answered (`etcd/errors.py`), so the texts
here are for our own log.
"""


class RoostError(Exception):
    """Every error that Roost raises on purpose."""


class CallerFault(RoostError):
    """The caller asked for something that cannot be; nothing was changed."""


class PeerFault(RoostError):
    """Bytes from outside this process broke the rules of their format."""


class BadArrow(PeerFault):
    """Bytes that are no stream of Arrow's, or one that is not taken; the text says why."""


class DeviceFault(RoostError):
    """A disk, file or helper process failed or holds what it must not."""


class PackageMissing(CallerFault, ImportError):
    """Something needs a package that is not installed; the text says which, and how."""


class Refused(CallerFault):
    """An operation looked at the state and said no; it wrote nothing."""


class ModelRefused(Refused):
    """A data model said no in the words that its own clients know.

    `code` is a gRPC status code (1-16), `text` what the client is told.  Members relay both to
    each other and read neither.
    """

    def __init__(self, code: int, text: str) -> None:
        """Keep the status code and the text apart: a follower relays both."""
        super().__init__(text)
        self.code = code
        self.text = text


class NotExecuted(RoostError):
    """The operation did not run and never will; a retry is safe."""


class NoLeader(NotExecuted):
    """No leader is known, or it cannot be reached."""


class NotLeader(NotExecuted):
    """The member asked does not lead and may not forward this request."""


class Overloaded(NotExecuted):
    """A bounded queue is full; the request was turned away at the border."""


class ShortOfMemory(Overloaded):
    """Little memory is left, by the limit that the text names; no new work is begun."""


class CallerGone(NotExecuted):
    """Nobody waits for the answer any more, so what was asked for was not begun."""


class Stopped(NotExecuted):
    """The member is stopping or has stopped."""


class OutcomeUnknown(RoostError):
    """The operation ran, but whether it was committed cannot be known here.

    Leadership or the connection to the leader was lost between proposal and answer.
    """


class AnswerFailed(OutcomeUnknown):
    """What was asked may have been done, but a fault of ours kept the answer from being made."""


# What decoding bytes from outside raises, whatever they are: `msgspec.MsgspecError` and
# `UnicodeDecodeError` are ValueErrors, and what is nested too deep is a RecursionError.
UNDECODABLE = (ValueError, RecursionError)
