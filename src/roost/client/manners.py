"""How a cluster is asked, by each call of one client."""

from collections.abc import Callable
from dataclasses import dataclass

from roost.client.backoff import boot_s
from roost.client.channel import GrpcChannel, Open
from roost.client.credentials import Credentials

_NOBODY = Credentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a cluster is asked; `open_channel` and `clock_s` are a test's business."""

    timeout_s: float = 5.0
    patience_s: float = 300.0
    retries: bool = True
    spreads: bool = True
    credentials: Credentials = _NOBODY
    open_channel: Open = GrpcChannel
    clock_s: Callable[[], float] = boot_s
