"""One store for all examples of a module: each has a transaction of its own, which is dropped."""

from collections.abc import Iterator

import pytest

from tests.etcd.replica import LocalReplica


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalReplica]:
    made = LocalReplica()
    yield made
    made.close()
