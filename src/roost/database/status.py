"""What a database says of itself."""

from dataclasses import dataclass

from roost.database.derived_status import DerivedStatus
from roost.database.embedded import Embedded
from roost.member import MemberRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One member, as it sees itself and its cluster now.

    `leader` is a member's name, empty when nobody is known to lead.  `lag_entries` is how many
    entries this member knows to be committed and has not applied: what `db.local` is behind, as far
    as it can know.  `slow_operation_count` are operations that took longer than `Limits.hold_s`.
    `derived` are the trees that this member derives.
    """

    name: str
    member_id: int
    cluster_id: int
    is_leader: bool
    is_learner: bool
    leader: str
    term: int
    applied_index: int
    lag_entries: int
    db_bytes: int
    operation_count: int
    refused_count: int
    failed_operation_count: int
    slow_operation_count: int
    derived: tuple[DerivedStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """One member of the cluster; `name` is empty as long as it has not been started."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool


def info_of(record: MemberRecord) -> MemberInfo:
    """What the roster has of a member."""
    return MemberInfo(
        id=record.id,
        name=record.name,
        peer_urls=record.peer_urls,
        client_urls=record.client_urls,
        is_learner=record.is_learner,
    )


def status_of(embedded: Embedded) -> Status:
    """A snapshot."""
    member = embedded.member
    said, figures = member.status(), embedded.runner.figures()
    names = {it.id: it.name for it in member.members()}
    return Status(
        name=said.name,
        member_id=said.member_id,
        cluster_id=said.cluster_id,
        is_leader=said.leader_id == said.member_id,
        is_learner=member.is_learner,
        leader=names.get(said.leader_id, ""),
        term=said.term,
        applied_index=said.applied_index,
        lag_entries=max(0, said.commit_index - said.applied_index),
        db_bytes=said.db_bytes,
        operation_count=figures.run_count,
        refused_count=figures.refused_count,
        failed_operation_count=figures.failed_count,
        slow_operation_count=figures.slow_count,
        derived=embedded.deriving.statuses(),
    )
