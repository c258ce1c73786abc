"""Counters on a member: pages at /counters, and the service `roost.Counters`."""

from functools import partial

from roost.counters.aio import Counters
from roost.counters.calls import SCHEMAS, CounterService
from roost.counters.counting import Counting
from roost.counters.desk import Desk
from roost.counters.endpoints import ENDPOINTS
from roost.counters.environment import DIRECTORY
from roost.counters.facts import TREE
from roost.counters.figures import FIGURES
from roost.counters.interface import Interface
from roost.counters.operators import Operators
from roost.counters.ports import Options
from roost.counters.watching import Hub
from roost.figures import Family, read_all
from roost.server.counter_rights import CounterRights
from roost.server.counter_way import CounterWay
from roost.server.models.model import Attached, DataModel, Ground, Page

# Of a cluster's id, behind the name of who counts, in other clusters.
CLUSTER_DIGITS = 8


def _attach(ground: Ground) -> Attached:
    member, world = ground.member, ground.embedded.world
    counting = Counting(
        member,
        world,
        member.config.data_dir / DIRECTORY,
        name=ground.serving.counters_name or member.config.name,
        chance=world.dice,
        options=Options(
            seed=ground.serving.counters_seed,
            is_silent=ground.serving.counters_silent,
            behind_s_max=ground.serving.counters_behind_s_max,
            cluster=f"{member.cluster_id:016x}"[:CLUSTER_DIGITS],
            open_way=partial(CounterWay, ground.serving.counters_showing),
            limits=ground.serving.counters_limits,
        ),
    )
    assert ground.gate.border is not None, "etcd's users are there before those who ask for them"
    desk, rights = Desk(counting), CounterRights(ground.gate.border)
    hub, operators = Hub(desk), Operators(counting)
    interface = Interface(desk, rights, hub, operators)
    service = CounterService(desk, rights, hub, operators)
    counters = Counters(desk, hub, operators, ground.embedded.check)

    async def start() -> None:
        counting.start()

    async def close() -> None:
        for it in counters.laters:
            await it.end()
        await service.close()
        await counting.close()

    def collect() -> list[Family]:
        return read_all(FIGURES, counting)

    body_bytes_max = ground.serving.counters_body_bytes_max

    return Attached(
        start=start,
        stop=hub.close,
        close=close,
        routes=service.routes(),
        pages=tuple(
            Page(path=it, answer=interface.answer, body_bytes_max=body_bytes_max)
            for it in ("/counters", "/counters/{rest:path}")
        ),
        endpoints=ENDPOINTS,
        collect=collect,
        inside=counters,
    )


COUNTERS = DataModel(
    name="counters",
    attach=_attach,
    # Who counted is in no backup, and no member of a new cluster is one of them.
    cluster_trees=(TREE,),
    schemas=SCHEMAS,
    figures=FIGURES,
)
