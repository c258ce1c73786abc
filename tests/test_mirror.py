"""Tests mirror the rooms: a module that decides something has a test file of its name.

Where several modules are one thing seen from outside, a row here says whose tests those are; the
rest has nothing that could be wrong by itself: no branch and no loop.  So whoever changes a module
finds what holds it, and whoever adds one is asked for its tests.
"""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "src" / "roost"
DECIDING = (
    *(ast.If, ast.While, ast.For, ast.AsyncFor, ast.Try, ast.Match, ast.IfExp, ast.BoolOp),
    ast.comprehension,
)

# A module or a room, without its ending, and the tests that hold it; the longest name counts.
SHOWN_BY = {
    # A face is tried through the package that it is the face of.
    "aio": "client/test_imports.py database/test_examples.py",
    "lazy": "client/test_imports.py cli/test_imports.py",
    "restoring": "database/test_backups.py integration/test_moving.py",
    "moving/errors": "moving/test_bolt.py",
    "moving/exporting": "integration/test_moving.py",
    "moving/importing": "moving/test_taking.py",
    "moving/fields": "moving/test_wal.py moving/test_v2_snapshot.py",
    "moving/requests": "moving/test_replay.py moving/test_v2_replay.py",
    "cli/answers": "cli/test_v2.py cli/discovery/test_tree.py",
    "cli/check": "cli/test_check.py",
    "cli/founding": "integration/test_backup.py integration/test_moving.py",
    "cli/importing": "integration/test_moving.py",
    "cli/migrate": "cli/test_migrate.py",
    "database/parts": "database/test_updates.py database/test_committing.py objects/test_many.py",
    "faces/mapping": "objects/test_mappings.py",
    # What a call is, and where things are, is tried by whoever has calls and places.
    "call": "server/test_calls.py",
    "extras": "series/test_extra.py",
    "figures": "server/test_figures.py server/test_exposition.py",
    "os_errors": "cli/test_troubles.py",
    # Names that were not made durable are lost where crash states are enumerated.
    "directories": "journal/test_disk.py counters/test_step_log.py",
    "places": "settings/test_urls.py server/test_listening.py",
    "self_signed": "cli/test_insecurity.py",
    # Commands are tried as they are used, by groups.
    "cli": "cli/test_commands.py cli/test_client_commands.py cli/test_documents.py",
    "cli/discovery/asking": "cli/discovery/test_late.py cli/discovery/test_bootstrap.py",
    "cli/discovery/first": "cli/discovery/test_tree.py cli/discovery/test_keys.py",
    "cli/forms": "cli/test_settings.py",
    "cli/hello": "cli/test_serve.py cli/test_ending.py",
    "cli/interrupts": "cli/test_ending.py cli/test_lock.py",
    "cli/main": "cli/test_imports.py cli/test_commands.py",
    "cli/log_level": "cli/test_v2.py",
    "cli/pages": "cli/test_v2.py",
    "cli/process": "cli/test_ending.py integration/test_stops.py",
    "cli/sim": "sim/members/test_simulation.py cli/test_commands.py",
    # One client, whose parts are tried beside a server that a test plays.
    "client": "client",
    # Parts of one member's counters, seen from the store and from what partners say to each other.
    "counters/changing": "counters/test_store.py counters/test_counting.py",
    "counters/early": "counters/test_counting.py counters/test_work.py",
    "counters/desk": "counters/test_counting.py counters/test_interface.py",
    "counters/figures": "counters/test_interface.py",
    # Rows of endpoints are held to who answers by asking for each.
    "dashboard/endpoints": "server/test_documented.py",
    "etcd/v2/endpoints": "server/test_documented.py",
    # Beside storage: one test has a member with both.
    "server/models/backups": "server/models/test_storage.py",
    "database/counting": "cli/test_trees.py server/models/test_storage.py",
    "server/models/series_endpoints": "server/test_documented.py",
    "server/schemas": "server/test_openapi.py server/test_documented.py",
    "counters/facts": "counters/test_counting.py",
    "counters/forms": "counters/test_interface.py",
    "counters/joining": "counters/test_exchange.py counters/test_swarm.py",
    "counters/known": "counters/test_counting.py",
    "counters/linking": "counters/test_outside.py",
    "counters/passing": "counters/test_topologies.py counters/test_outside.py",
    "counters/visiting": "counters/test_outside.py",
    "counters/layers": "counters/test_store.py counters/test_kills.py",
    "counters/outgoing": "counters/test_exchange.py",
    "counters/owners": "counters/test_swarm.py counters/test_upkeep.py",
    "counters/reading": "counters/test_store.py counters/test_environment.py",
    "counters/receiving": "counters/test_messages.py counters/test_exchange.py",
    "counters/rows": "counters/test_messages.py",
    "counters/sending": "counters/test_store.py counters/test_exchange.py",
    "counters/rights": "counters/test_calls.py server/test_counter_rights.py",
    "counters/standing": "counters/test_store.py",
    "counters/status": "counters/test_interface.py",
    "counters/aio": "counters/test_in_a_program.py",
    "counters/reports": "counters/test_purging.py counters/test_retiring.py",
    "database": "database",
    "database/conventions": "database/test_operations.py database/test_names.py",
    "etcd/services": "etcd/test_differential.py integration/test_operations.py",
    "etcd/model/txn_reading": "etcd/model/test_long.py etcd/v3/test_long_reads.py",
    "etcd/v2/asking": "etcd/v2/test_queues.py",
    "etcd/v2/faults": "etcd/v2/test_differential.py",
    "etcd/v2/interface": "etcd/v2/test_keys.py etcd/v2/test_differential.py",
    "etcd/v2/modules": "etcd/v2/test_queues.py",
    "etcd/v2/piecewise": "etcd/v2/test_telling.py etcd/v2/test_keys.py",
    "etcd/v2/values": "etcd/v2/test_changes.py etcd/v2/test_gate.py",
    "etcd/access/signing": "etcd/test_border.py",
    "etcd/v2/nodes": "etcd/v2/test_changes.py etcd/v2/test_differential.py",
    "etcd/v2/services": "etcd/v2/test_keys.py integration/test_v2.py",
    "etcd/v2/user_changes": "etcd/v2/test_users.py etcd/v2/test_differential.py",
    "etcd/v2/user_pages": "etcd/v2/test_gate.py etcd/v2/test_differential.py",
    "etcd/access/passwords": "etcd/v3/test_logins.py etcd/v2/test_gate.py",
    # Services of v3 are thin: held against etcd itself, request by request.
    "etcd/v3": "etcd/test_differential.py integration/test_operations.py integration/test_edges.py",
    "etcd/v3/auth": "etcd/v3/test_logins.py etcd/test_differential.py",
    "etcd/v3/candidates": "etcd/v3/test_election.py etcd/v3/test_costly.py",
    "etcd/v3/copies": "integration/test_backup.py",
    "etcd/v3/hashing": "etcd/v3/test_long_reads.py etcd/v3/test_maintenance.py",
    "etcd/v3/interface": "integration/test_etcdctl.py etcd/v3/test_learners.py",
    "etcd/v3/kv": "etcd/v3/test_long_reads.py etcd/test_differential.py",
    "etcd/v3/lock": "etcd/v3/test_turns.py",
    "journal/batch": "journal/test_journal.py",
    "member": "member",
    "member/loop": "member/test_member.py member/test_terms.py member/test_rooms.py",
    "member/events": "database/test_events.py",
    "member/reporter": "database/test_events.py",
    "member/figures": "server/test_figures.py",
    "member/settings": "cli/test_settings.py",
    "member/directory/fetching": "member/directory/test_joining.py",
    "member/directory/rebuild": "integration/test_store_damage.py member/test_opening.py",
    "cli/afar": "cli/test_snapshot.py integration/test_backup.py",
    "member/snapshots/bucket_place": "member/snapshots/test_bucket.py",
    "member/snapshots/folder": "member/snapshots/test_shelf.py",
    "member/snapshots/shelf_work": "member/snapshots/test_shelf.py",
    "member/snapshots/saving": "member/snapshots/test_schedule.py database/test_backups.py",
    # Objects are tried beside CPython's, and in simulated clusters.
    "objects": "objects",
    "peer/errors": "peer/test_refusals.py peer/test_frame.py",
    "peer/framing": "peer/test_frame.py",
    "peer/snapshot": "peer/test_newcomers.py peer/test_transport.py",
    "peer/waiting": "peer/test_stream.py peer/test_transport.py",
    "program": "program/test_series.py",
    "proto": "proto/test_proto.py",
    "raft/config": "raft/test_core.py",
    "raft/leading": "raft/test_invariants.py",
    "raft/types": "raft/test_confchange.py",
    # The model of exactness looks at all of it from outside.
    "series/jobs": "series/test_deleting.py",
    "series/asked": "series/test_interface.py",
    # PromQL from its text to its numbers, against a model and real Prometheus; and over HTTP.
    "series/prometheus": (
        "series/prometheus/test_evaluating.py series/prometheus/test_service.py "
        "integration/test_prometheus.py"
    ),
    "series/asking": "series/test_interface.py",
    "series/chain": "series/test_exactness.py series/test_sealing.py",
    "series/content": "series/test_exactness.py series/test_sealing.py",
    "series/describing": "series/prometheus/test_service.py",
    "series/draft": "series/test_exactness.py series/test_sealing.py",
    "series/effects": "series/test_exactness.py series/test_records.py",
    "series/generations": "series/test_records.py series/test_exactness.py",
    "series/head": "series/test_sealing.py",
    "series/levels": "series/test_exactness.py",
    "series/operations": "series/test_engine.py",
    "series/pointwise": "series/test_queries.py",
    "series/selecting": "series/test_queries.py",
    "series/parts": "series/test_interface.py",
    "series/reading": "series/test_exactness.py series/test_names.py",
    "series/registry": "series/test_names.py",
    "series/slicing": "series/test_sealing.py series/test_exactness.py",
    "series/staging": "series/test_sealing.py series/test_names.py",
    "series/summaries": "series/test_blocks.py series/test_exactness.py",
    "series/trees": "series/test_exactness.py series/test_engine.py",
    "series/writing": "series/test_interface.py integration/test_series.py",
    "server/accepting": "server/test_port.py",
    "server/admission": "server/test_grpc.py",
    "server/compression": "server/test_grpc.py",
    "server/posts": "server/test_gateway.py server/test_exchanges.py",
    "server/models/counters": "integration/test_counters.py",
    "server/models/etcd": "server/test_figures.py integration/test_metrics.py",
    "database/figures": "server/models/test_programs.py",
    "objects/figures": "server/models/test_programs.py",
    "server/models/registry": "server/models/test_model.py",
    "server/embedding": "integration/test_tls.py database/test_processes.py",
    "server/health": "integration/test_operations.py",
    "server/json_answer": "server/test_json_parts.py server/test_gateway.py",
    "server/pools": "server/test_figures.py",
    "server/streaming": "server/test_budgets.py server/test_grpc.py",
    "server/h2/frames": "server/h2/test_connection.py",
    "settings/certificates": "settings/test_ciphers.py cli/test_settings.py",
    "settings/settings": "cli/test_settings.py",
    # What tries others is tried by what it must find: mutants, fakes and real ones.
    "sim": "sim/members/test_simulation.py sim/test_mutants.py",
    "sim/conformance": "sim/test_conformance.py",
    "sim/cores": "sim/cores/test_storm.py scenarios/test_scenarios.py",
    "sim/members/loop": "sim/members/test_simulation.py",
    "sim/programs": "sim/programs",
    "store/base": "store/test_damage.py store/test_snapshot.py",
    "store/catalog": "store/test_store.py",
    "testing": "testing integration",
    "testing/pressure": "testing/test_pressure.py",
}

# Members are tried in virtual time and without ports, but for three tests: threads do not wait for
# virtual time, and something has to show that a member runs on the system's own sockets as well.
MEMBERS_ON_SOCKETS = {
    "member/machine/test_world.py": {"test_nothing_large_is_removed_by_the_loop"},
    "member/test_member.py": {
        "test_a_stopped_cluster_comes_back_with_its_content",
        "test_the_status_shows_what_waits_for_a_socket",
    },
}
# So are peers; these files are about the system's network, or one that somebody brings, itself.
PEERS_ON_SOCKETS = {
    "peer/test_own_transport.py",
    "peer/test_peer_tls.py",
    "peer/test_sockets.py",
    "peer/test_upgrade.py",
}
SOCKETS = re.compile(
    r"on_loopback|\bLoopback\(|OsNetwork|\bcreate_(server|connection)\b|\bfree_ports\b"
)


@cache
def modules() -> dict[str, Path]:
    """What has no test file of its name, by its path without the ending."""
    found = {}
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES)
        own = TESTS / name.parent / f"test_{name.name}"
        is_made = path.name.endswith("_pb2.py") or path.name.startswith("__")
        if not own.exists() and not is_made:
            found[name.with_suffix("").as_posix()] = path
    return found


def decides(path: Path) -> bool:
    return any(isinstance(it, DECIDING) for it in ast.walk(ast.parse(path.read_text())))


def row_of(module: str) -> str:
    """The row that holds a module; "" when there is none."""
    rows = [it for it in SHOWN_BY if f"{module}/".startswith(f"{it}/")]
    return max(rows, key=len, default="")


def texts_of(name: str) -> list[str]:
    """What stands in a test file, or in all of a room, which a row names."""
    place = TESTS / name
    files = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
    return [it.read_text() for it in files]


def test_a_module_that_decides_something_has_tests_that_are_named_for_it() -> None:
    lacking = [name for name, path in modules().items() if decides(path) and not row_of(name)]
    assert lacking == []


def test_a_row_is_there_for_a_module_that_needs_it() -> None:
    assert SHOWN_BY.keys() - {row_of(it) for it in modules()} == set()


def test_the_tests_of_a_row_are_there() -> None:
    empty = [
        f"{row}: {name}"
        for row, names in SHOWN_BY.items()
        for name in names.split()
        if not any(re.search(r"^(async )?def test_", it, re.MULTILINE) for it in texts_of(name))
    ]
    assert empty == []


def on_sockets(path: Path) -> set[str]:
    """The functions of a file that use a port, and the file's name where something else does."""
    text = path.read_text()
    if not SOCKETS.search(text):
        return set()
    lines = text.splitlines()
    return {
        getattr(node, "name", path.name)
        for node in ast.parse(text).body
        if SOCKETS.search("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    }


def test_members_have_no_ports_but_where_a_row_says_so() -> None:
    files = {it.relative_to(TESTS).as_posix(): it for it in (TESTS / "member").rglob("test_*.py")}
    found = {name: on_sockets(path) for name, path in files.items()}
    assert {name: tests for name, tests in found.items() if tests} == MEMBERS_ON_SOCKETS


def test_peers_have_no_ports_but_where_a_row_says_so() -> None:
    files = (TESTS / "peer").rglob("test_*.py")
    assert {it.relative_to(TESTS).as_posix() for it in files if on_sockets(it)} == PEERS_ON_SOCKETS
