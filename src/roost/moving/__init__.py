"""Moving to Roost from etcd, and back: etcd's files, read and written."""

from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused, NotForEtcd
from roost.moving.exporting import convert
from roost.moving.giving import Given, write_etcd_file
from roost.moving.importing import EtcdOrigin
from roost.moving.source import EtcdHeld, EtcdStore, is_etcd_file, look_at, open_etcd
from roost.moving.taking import Taken

__all__ = [
    "EtcdFileDamaged",
    "EtcdFileRefused",
    "EtcdHeld",
    "EtcdOrigin",
    "EtcdStore",
    "Given",
    "NotForEtcd",
    "Taken",
    "convert",
    "is_etcd_file",
    "look_at",
    "open_etcd",
    "write_etcd_file",
]
