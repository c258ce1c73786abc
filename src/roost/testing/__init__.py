"""Clusters of real processes for tests, and the campaigns that are too long for a suite.

`DictModel` is what `roost.sim.check` judges by; `roost.testing.plugin` has pytest's fixtures, which
give a `LocalMember` or a `LocalCluster`.
Names are loaded when they are used: the plugin is part of every test run.
"""

from typing import TYPE_CHECKING

from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.sim.programs.model import DictModel
    from roost.testing.local import LocalCluster, LocalMember
else:
    __getattr__ = lazily(
        __name__,
        {
            "DictModel": "roost.sim.programs.model",
            **dict.fromkeys(("LocalCluster", "LocalMember"), "roost.testing.local"),
        },
    )

__all__ = ["DictModel", "LocalCluster", "LocalMember"]
