"""What a call to a cluster can end with."""

from roost.errors import RoostError


class ClientError(RoostError):
    """A call failed; `code` is the gRPC status code's name, `text` the server's words."""

    def __init__(self, code: str, text: str) -> None:
        """Keep both."""
        super().__init__(f"{text} ({code})" if text else code)
        self.code = code
        self.text = text


class Unreachable(ClientError):
    """No endpoint answered; the call may or may not have taken effect if it was a write."""


class BadEndpoint(ClientError):
    """An endpoint is missing or cannot be one; nothing was tried."""

    def __init__(self, text: str) -> None:
        """Say what to write instead."""
        super().__init__("INVALID_ARGUMENT", text)

    def __str__(self) -> str:
        """Without a code: nobody was asked."""
        return self.text


class Compacted(ClientError):
    """The revisions asked for are forgotten; what is left begins at `revision`, 0 = not said."""

    def __init__(self, revision: int, text: str) -> None:
        """Keep where history begins."""
        super().__init__("OUT_OF_RANGE", text)
        self.revision = revision


class LeaseLost(ClientError):
    """A lease is gone, or nobody can say that it is not; what rests on it may be another's."""

    def __init__(self, lease_id: int, why: str) -> None:
        """Say which, and why."""
        super().__init__("NOT_FOUND", f"lease {lease_id:x} {why}")
        self.lease_id = lease_id

    def __str__(self) -> str:
        """Without a code: it is we who say so."""
        return self.text
