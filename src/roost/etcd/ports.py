"""What the services of etcd ask of a member, as their tests fake it."""

from typing import Protocol

from roost.database.model import Administration
from roost.database.model import Replica as AnyReplica


class Replica(AnyReplica, Administration, Protocol):
    """A member to which etcd's operators come as well."""
