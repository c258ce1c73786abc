"""The data models that a member serves: one file each, and the list of them."""

from roost.server.models.model import Attached, DataModel, Ground, Page
from roost.server.models.registry import MODELS

__all__ = ["MODELS", "Attached", "DataModel", "Ground", "Page"]
