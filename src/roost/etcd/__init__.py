"""etcd's data model and services over a replicated store."""

from roost.etcd.mvcc import bootstrap
from roost.etcd.services import SERVER_VERSION, Route, Services, Stream, Unary

__all__ = ["SERVER_VERSION", "Route", "Services", "Stream", "Unary", "bootstrap"]
