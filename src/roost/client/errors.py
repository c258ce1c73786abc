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
