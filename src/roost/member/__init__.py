"""One running member of a cluster: the consensus core, its disk, its store and its links."""

from roost.member import events
from roost.member.cluster import membership
from roost.member.cluster.membership import (
    AddMember,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
    UpdateMember,
)
from roost.member.cluster.roster import (
    MEMBERS_TREE,
    REMOVED_TREE,
    MemberRecord,
    cluster_id_of,
    member_id_of,
)
from roost.member.config import MemberConfig, added_anew, address_of
from roost.member.directory.accept_loss import Loss, accept_loss, inspect
from roost.member.directory.joining import join_cluster
from roost.member.directory.new_cluster import found_new_cluster
from roost.member.directory.peek import StoreFile, has_begun, open_file_in, open_store_file
from roost.member.directory.rebuild import mark_damaged, mark_suspect, rebuild_store
from roost.member.errors import (
    BackupDamaged,
    BackupFailed,
    BadMemberConfig,
    BadPlace,
    BucketRefused,
    BucketUnreachable,
    CannotJoin,
    CannotRebuild,
    DirectoryLost,
    MalformedForward,
    MemberRemoved,
    NoBucket,
    NotAMember,
    NothingToLose,
    RestoreRefused,
    RolledBack,
    StoreBehindJournal,
    StoreDamaged,
)
from roost.member.machine.world import World
from roost.member.member import Member
from roost.member.opening import open_member
from roost.member.operation import Light
from roost.member.snapshots.backup import (
    Backup,
    part_of,
    read_backup,
    write_checked,
    write_increment,
)
from roost.member.snapshots.bucket import Bucket
from roost.member.snapshots.bucket_place import check_place, is_in_bucket, location_of, split_object
from roost.member.snapshots.restoring import (
    Amendment,
    begin_with,
    open_backups,
    restore,
    unfinished,
)
from roost.member.snapshots.saving import save
from roost.member.snapshots.schedule import SHELF, BackupSchedule
from roost.member.snapshots.shelf import Kept, Listed, Verified, chain, list_all
from roost.member.snapshots.shelf_work import Progress, Sent, shelf_at
from roost.member.status import MemberStatus

__all__ = [
    "MEMBERS_TREE",
    "REMOVED_TREE",
    "SHELF",
    "AddMember",
    "Amendment",
    "Backup",
    "BackupDamaged",
    "BackupFailed",
    "BackupSchedule",
    "BadMemberConfig",
    "BadPlace",
    "Bucket",
    "BucketRefused",
    "BucketUnreachable",
    "CannotJoin",
    "CannotRebuild",
    "DirectoryLost",
    "Kept",
    "Light",
    "Listed",
    "Loss",
    "MalformedForward",
    "Member",
    "MemberConfig",
    "MemberRecord",
    "MemberRemoved",
    "MemberStatus",
    "NoBucket",
    "NotAMember",
    "NothingToLose",
    "Progress",
    "PromoteMember",
    "RemoveMember",
    "ReplaceMember",
    "RestoreRefused",
    "RolledBack",
    "Sent",
    "StoreBehindJournal",
    "StoreDamaged",
    "StoreFile",
    "UpdateMember",
    "Verified",
    "World",
    "accept_loss",
    "added_anew",
    "address_of",
    "begin_with",
    "chain",
    "check_place",
    "cluster_id_of",
    "events",
    "found_new_cluster",
    "has_begun",
    "inspect",
    "is_in_bucket",
    "join_cluster",
    "list_all",
    "location_of",
    "mark_damaged",
    "mark_suspect",
    "member_id_of",
    "membership",
    "open_backups",
    "open_file_in",
    "open_member",
    "open_store_file",
    "part_of",
    "read_backup",
    "rebuild_store",
    "restore",
    "save",
    "shelf_at",
    "split_object",
    "unfinished",
    "write_checked",
    "write_increment",
]
