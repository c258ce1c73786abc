"""etcd's data model and services over a replicated store."""

from roost.etcd.access.tokens import JwtOptions
from roost.etcd.limits import Limits
from roost.etcd.model.mvcc import REVISION_MAX
from roost.etcd.services import AuthOptions, Services, bootstrap, raise_revision
from roost.etcd.upkeep.compactor import Keeping, KeepRevisions, KeepTime
from roost.etcd.upkeep.guard import QUOTA_BYTES, Guard
from roost.etcd.upkeep.sweep import Removal
from roost.etcd.v2.endpoints import ENDPOINTS as V2_ENDPOINTS
from roost.etcd.v2.services import PREFIXES as V2_PREFIXES
from roost.etcd.v3.interface import JSON_PATHS, LIGHT, NO_LEADER, SCHEMAS, SHORT, STOPPED
from roost.etcd.v3.maintenance import SERVER_VERSION
from roost.etcd.v3.texts import TEXTS as JSON_TEXTS

__all__ = [
    "JSON_PATHS",
    "JSON_TEXTS",
    "LIGHT",
    "NO_LEADER",
    "QUOTA_BYTES",
    "REVISION_MAX",
    "SCHEMAS",
    "SERVER_VERSION",
    "SHORT",
    "STOPPED",
    "V2_ENDPOINTS",
    "V2_PREFIXES",
    "AuthOptions",
    "Guard",
    "JwtOptions",
    "KeepRevisions",
    "KeepTime",
    "Keeping",
    "Limits",
    "Removal",
    "Services",
    "bootstrap",
    "raise_revision",
]
