"""What time series say no with, to programs."""

from roost.client.errors import ClientError, RequestRefused
from roost.errors import CallerFault


class BadPoint(ClientError, CallerFault):
    """Times and values that are none, or a frame without them; nothing of them was sent."""

    def __init__(self, text: str) -> None:
        """Say what is wrong."""
        super().__init__("INVALID_ARGUMENT", text)

    def __str__(self) -> str:
        """Without a code: nobody was asked."""
        return self.text


class SeriesRefused(RequestRefused):
    """A member said no to a request about series; `status` is HTTP's, `kind` its own word."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        """Keep all three."""
        super().__init__(kind, text)
        self.status = status
        self.kind = kind
