"""What a program has on a member beside etcd: operations, observers, derived trees, machines.

There is nothing to serve but figures: trees and operations are a program's own (`roost.open`), and
clients run operations over etcd's port (`etcd/v3/operations.py`).
"""

from roost.database.figures import FIGURES as DATABASE_FIGURES
from roost.database.figures import now_of
from roost.figures import Family, read_all
from roost.objects.figures import FIGURES as MACHINE_FIGURES
from roost.server.models.model import Attached, DataModel, Ground


def _attach(ground: Ground) -> Attached:
    embedded = ground.embedded

    def collect() -> list[Family]:
        own = read_all(DATABASE_FIGURES, now_of(embedded))
        return [*own, *(family for shown in embedded.shown for family in shown())]

    return Attached(collect=collect)


PROGRAMS = DataModel(name="programs", attach=_attach, figures=(*DATABASE_FIGURES, *MACHINE_FIGURES))
