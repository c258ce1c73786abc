"""Which modules are compiled where somebody asks for it, and whether they are here.

There is one source.  `make fast` and `make wheel` have mypyc turn MODULES into extension modules,
which lie beside their sources and are imported in their place (docs/how-to/compile.md); without
them the package is pure Python.  Extension modules go with the sources that they were made with:
interpreted modules and compiled ones know each other's names and numbers.  So a digest of all
sources lies beside them, and whoever starts something looks whether it still holds.

A module may stand here when it is typed, and when nothing in it is what mypyc gets wrong:
docs/decisions/0016-compiled-modules.md, and `tests/test_compiled.py`.
"""

import hashlib
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

__all__ = ["MODULES", "compiled_modules", "description", "fault", "mypyc_attr", "source_digest"]

if TYPE_CHECKING:
    # The compiler knows it by where it comes from; nobody has to install it to run us.
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_given: object) -> Callable[[type], type]:
        """Tell the compiler about a class; without one it says nothing."""
        return lambda it: it


MODULES = (
    "roost.counters.algebra",
    "roost.counters.calls",
    "roost.counters.changing",
    "roost.counters.counting",
    "roost.counters.desk",
    "roost.counters.layers",
    "roost.counters.logged",
    "roost.counters.rights",
    "roost.counters.store",
    "roost.counters.work",
    "roost.etcd.border",
    "roost.etcd.model.alarms",
    "roost.etcd.model.costs",
    "roost.etcd.model.kv",
    "roost.etcd.model.leases",
    "roost.etcd.model.mvcc",
    "roost.etcd.model.ranges",
    "roost.etcd.model.wire",
    "roost.etcd.upkeep.deadlines",
    "roost.etcd.upkeep.lessor",
    "roost.etcd.upkeep.sweep",
    "roost.etcd.v2.changes",
    "roost.etcd.v2.dates",
    "roost.etcd.v2.forms",
    "roost.etcd.v2.gate",
    "roost.etcd.v2.history",
    "roost.etcd.v2.interface",
    "roost.etcd.v2.json_text",
    "roost.etcd.v2.keys",
    "roost.etcd.v2.leading",
    "roost.etcd.v2.listing",
    "roost.etcd.v2.nodes",
    "roost.etcd.v2.paths",
    "roost.etcd.v2.patience",
    "roost.etcd.v2.reads",
    "roost.etcd.v2.telling",
    "roost.etcd.v2.watch_hub",
    "roost.etcd.v2.watchers",
    "roost.etcd.v3.desk",
    "roost.etcd.v3.kv",
    "roost.etcd.v3.learners",
    "roost.etcd.v3.lease",
    "roost.fair_queue",
    "roost.flow",
    "roost.histogram",
    "roost.journal.batch",
    "roost.journal.index",
    "roost.journal.journal",
    "roost.journal.record",
    "roost.journal.segment",
    "roost.member.announcer",
    "roost.member.links",
    "roost.member.loop",
    "roost.member.member",
    "roost.member.pipeline.applier",
    "roost.member.pipeline.batch",
    "roost.member.pipeline.executor",
    "roost.member.pipeline.forwarded",
    "roost.member.pipeline.forwarding",
    "roost.member.pipeline.lights",
    "roost.member.pipeline.making",
    "roost.member.pipeline.pacing",
    "roost.member.pipeline.persistence",
    "roost.member.pipeline.reads",
    "roost.member.pipeline.router",
    "roost.member.reporter",
    "roost.memory",
    "roost.outcome",
    "roost.parted",
    "roost.peer.accepting",
    "roost.peer.dialled",
    "roost.peer.framing",
    "roost.peer.link",
    "roost.raft.append",
    "roost.raft.codec",
    "roost.raft.core",
    "roost.raft.handing",
    "roost.raft.heartbeat",
    "roost.raft.leading",
    "roost.raft.log",
    "roost.raft.outbox",
    "roost.raft.progress",
    "roost.raft.quorum",
    "roost.raft.read_index",
    "roost.raft.reads",
    "roost.raft.ready",
    "roost.raft.state",
    "roost.server.admission",
    "roost.server.calls",
    "roost.server.counter_rights",
    "roost.server.direct",
    "roost.server.grpc",
    "roost.server.h2.connection",
    "roost.server.h2.frames",
    "roost.server.h2.hpack",
    "roost.server.h2.outgoing",
    "roost.server.h2.streams",
    "roost.server.http1",
    "roost.server.http1_plain",
    "roost.server.http1_turn",
    "roost.server.intake",
    "roost.server.origins",
    "roost.server.posts",
    "roost.server.streaming",
    "roost.server.unread",
    "roost.slices",
    "roost.store.base_reader",
    "roost.store.base_writer",
    "roost.store.census",
    "roost.store.counted",
    "roost.store.digest",
    "roost.store.held",
    "roost.store.key_order",
    "roost.store.layer",
    "roost.store.long_write",
    "roost.store.observers",
    "roost.store.puts",
    "roost.store.rows",
    "roost.store.stack",
    "roost.store.store",
    "roost.store.txn",
    "roost.store.view",
    "roost.store.walk",
    "roost.store.write_set",
    "roost.ticker",
)
# The code of all of them is in one library, which stands beside the package: `roost_native__mypyc`.
GROUP = "roost_native"
# The digest of the sources, in the package.
DIGEST_FILE = "native.digest"

PACKAGE = Path(__file__).parent


def extensions_of(module: str, root: Path) -> list[Path]:
    """The extension modules that would be imported for `module`, where `root` has `roost`."""
    path = root.joinpath(*module.split("."))
    return [it for suffix in EXTENSION_SUFFIXES if (it := Path(f"{path}{suffix}")).exists()]


def source_digest(package: Path = PACKAGE) -> str:
    """What all sources of the package are, as 32 hexadecimal digits."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        hasher.update(content)
    return hasher.hexdigest()


def compiled_modules(package: Path = PACKAGE) -> list[str]:
    """Those of MODULES that are compiled here."""
    return [it for it in MODULES if extensions_of(it, package.parent)]


def fault(package: Path = PACKAGE) -> str | None:
    """Why what is compiled here must not run, or None: then it may, or nothing is."""
    found = compiled_modules(package)
    if not found:
        return None
    if len(found) < len(MODULES):
        return f"only {len(found)} of {len(MODULES)} modules are compiled"
    try:
        held = (package / DIGEST_FILE).read_text().strip()
    except FileNotFoundError:
        return f"compiled modules without {DIGEST_FILE}"
    if held != source_digest(package):
        return "the compiled modules were made of other sources"
    return None


def description(package: Path = PACKAGE) -> str:
    """Which of the two trees this is, in a few words."""
    if (wrong := fault(package)) is not None:
        return f"unusable: {wrong}"
    count = len(compiled_modules(package))
    return f"{count} modules compiled" if count else "pure Python"
