"""etcd's data model and services over a replicated store."""

from roost.etcd.guard import QUOTA_BYTES, Guard
from roost.etcd.maintenance import SERVER_VERSION
from roost.etcd.mvcc import bootstrap
from roost.etcd.services import Route, Services, Stream, Unary

__all__ = [
    "QUOTA_BYTES",
    "SERVER_VERSION",
    "Guard",
    "Route",
    "Services",
    "Stream",
    "Unary",
    "bootstrap",
]
