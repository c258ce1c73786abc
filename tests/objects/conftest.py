"""One database for all tests of a module that look at objects beside CPython's own."""

from collections.abc import Iterator

import pytest

import roost
from roost.objects.layouts import counted_tree
from tests.objects.beside import opened


@pytest.fixture(scope="module")
def db() -> Iterator[roost.Database]:
    with opened() as database:
        yield database


@pytest.fixture(scope="module")
def small_nodes() -> Iterator[None]:
    """A few values make a tree of several levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counted_tree, "NODE_MAX", 4)
        patch.setattr(counted_tree, "NODE_SMALL", 2)
        yield
