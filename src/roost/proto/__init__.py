"""etcd's v3 messages: the schemas beside this file, and what `generate` made of them."""

from roost.proto.pool import POOL

__all__ = ["POOL"]
