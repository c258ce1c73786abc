"""etcd's data model on a member: v3 as gRPC and JSON, v2 as pages, and what it says in its log."""

from roost import etcd
from roost.etcd.figures import FIGURES, EtcdNow
from roost.etcd.model.alarms import CORRUPT, NOSPACE
from roost.etcd.model.mvcc import ALARMS_TREE
from roost.figures import Family, read_all
from roost.proto.rpc_pb2 import AlarmType
from roost.server import log_levels
from roost.server.exchanges import FORM_PART
from roost.server.log_levels import LogLevels
from roost.server.models.model import Attached, DataModel, DirectPage, Ground, Page
from roost.server.options import quota_within

_ALARM_NAMES = {NOSPACE: "NOSPACE", CORRUPT: "CORRUPT"}


def _attach(ground: Ground) -> Attached:
    member, serving = ground.member, ground.serving
    services = etcd.Services(
        member,
        member.store,
        limits=serving.limits,
        auth_options=serving.auth,
        keeping=serving.keeping,
        clock_s=ground.clock_s,
        wall_s=ground.wall_s,
        memory=ground.memory,
    )
    ground.gate.admit = services.admit
    quota_bytes = quota_within(serving.quota_bytes, ground.memory.address_bytes)
    ground.gate.border = services.border
    guard = etcd.Guard(member, services.alarms, quota_bytes=quota_bytes)

    async def start() -> None:
        guard.start()
        services.start()

    def stop() -> None:
        guard.stop()
        services.stop()

    def collect() -> list[Family]:
        return read_all(FIGURES, EtcdNow(services, services.figures()))

    def alarms() -> list[str]:
        raised = {kind for _, kind in services.alarms.raised}
        return [name for kind, name in _ALARM_NAMES.items() if kind in raised]

    def raised() -> list[tuple[int, str]]:
        return [(member_id, AlarmType.Name(kind)) for member_id, kind in services.alarms.raised]

    ground.shown.alarms = raised
    ground.shown.removal = services.removal
    v2 = [
        DirectPage(
            prefix=prefix,
            begin=services.v2.begin,
            body_bytes_max=FORM_PART * serving.port.message_bytes_max,
        )
        for prefix in etcd.V2_PREFIXES
    ]
    levels = Page(
        path=log_levels.PATH,
        answer=LogLevels(services.border).answer,
        body_bytes_max=log_levels.BODY_BYTES_MAX,
    )
    return Attached(
        start=start,
        stop=stop,
        close=services.close,
        routes=services.routes(),
        pages=(levels,),
        direct=v2 if serving.has_v2 else (),
        endpoints=(
            *log_levels.ENDPOINTS,
            *(etcd.V2_ENDPOINTS if serving.has_v2 else ()),
        ),
        collect=collect,
        alarms=alarms,
    )


ETCD = DataModel(
    name="etcd",
    attach=_attach,
    bootstrap=etcd.bootstrap,
    cluster_trees=(ALARMS_TREE,),
    schemas=etcd.SCHEMAS,
    json_paths=etcd.JSON_PATHS,
    json_texts=etcd.JSON_TEXTS,
    light=etcd.LIGHT,
    figures=FIGURES,
)
