"""What can be wrong with etcd's files, and with what we make of ours for etcd."""

from roost.errors import CallerFault


class EtcdFileRefused(CallerFault):
    """A file or directory of etcd's cannot be taken; the text says why, and what to do."""


class EtcdFileDamaged(EtcdFileRefused):
    """A file of etcd's is not as etcd leaves it."""


class NotForEtcd(CallerFault):
    """Something that is held here has no place in a file of etcd's."""
