"""The schemas beside this file, etcd's v3 and gRPC's own, and what `generate` made of them."""

from roost.proto.pool import POOL

__all__ = ["POOL"]
