"""The data models that a member serves: one file each, and the list of them."""

from roost.server.models.model import (
    Attached,
    DataModel,
    DirectPage,
    Gate,
    Ground,
    Page,
    StreamPage,
)
from roost.server.models.registry import MODELS

__all__ = [
    "MODELS",
    "Attached",
    "DataModel",
    "DirectPage",
    "Gate",
    "Ground",
    "Page",
    "StreamPage",
]
