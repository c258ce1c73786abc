"""The dashboard: one page for everything that a member knows; see `DESIGN.md`."""

from roost.dashboard.facts import Facts, Latency, Sending
from roost.dashboard.gathering import Gathering
from roost.dashboard.happenings import Happenings
from roost.dashboard.interface import Interface
from roost.dashboard.log import Log
from roost.dashboard.store_pages import StorePages
from roost.dashboard.viewing import Hub, Raised

__all__ = [
    "Facts",
    "Gathering",
    "Happenings",
    "Hub",
    "Interface",
    "Latency",
    "Log",
    "Raised",
    "Sending",
    "StorePages",
]
