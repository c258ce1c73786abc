"""What is wrong is told with the place where it stands what to do; and it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from roost.cli.maintenance import _say_alarms
from roost.client import Alarm
from roost.counters.alarms import BEHIND, DIVERGE
from roost.etcd.access import hashers
from roost.etcd.model.alarms import KINDS
from roost.etcd.v3 import costly, long_reads
from roost.member import MemberConfig
from roost.member.pipeline import reads, router
from roost.proto import rpc_pb2 as pb
from roost.runbook import place_of

ROOT = Path(__file__).parent.parent
PAGE = "docs/how-to/alarms.md"
ALARMS = [*(pb.AlarmType.Name(it) for it in KINDS), BEHIND, DIVERGE]


def anchors(page: Path) -> set[str]:
    """The places of a page that a link may name, as they are made of its headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in headings}


@pytest.mark.parametrize("alarm", [*ALARMS, "memory is short", "too many requests"])
def test_an_alarm_has_a_place_on_the_page(alarm: str) -> None:
    page, _, anchor = place_of(alarm).partition("#")
    assert page == PAGE
    assert anchor in anchors(ROOT / page)


def test_every_place_that_code_and_pages_name_is_there() -> None:
    """Of other pages, too: a heading that is changed would send people to its page's beginning."""
    named = set()
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").rglob("*.y*ml")]
    for path in files:
        for page, anchor in re.findall(r"(docs/[\w/-]+\.md)#([\w-]+)", path.read_text()):
            named.add((ROOT / page, anchor))
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for page, anchor in re.findall(r"\]\(([^):# ]*)#([\w-]+)\)", path.read_text()):
            named.add(((path.parent / page).resolve() if page else path, anchor))
    assert len(named) > 20
    missing = [f"{page}#{anchor}" for page, anchor in named if anchor not in anchors(page)]
    assert sorted(missing) == []


def test_whoever_lists_alarms_is_told_where_to_read() -> None:
    raised = [Alarm(member_id=10, kind=it) for it in ALARMS]
    with CliRunner().isolation() as (out, *_):
        _say_alarms(raised, as_json=False)
        lines = out.getvalue().decode().splitlines()
    assert lines == [f"member a: {it} ({place_of(it)})" for it in ALARMS]


SLOW = (ROOT / "docs/how-to/slow.md").read_text()
SOURCES = "\n".join(it.read_text() for it in (ROOT / "src/roost").rglob("*.py"))


def test_what_pages_say_that_a_client_is_told_is_what_it_is_told() -> None:
    part = SLOW[SLOW.index("\n## Refused\n") : SLOW.index("\n## Who holds the memory\n")]
    rows = re.findall(r"^\| ([^|]*(?:etcdserver|grpc): [^|]*)\|", part, re.MULTILINE)
    said = [it for row in rows for it in re.findall(r"`([^`]+)`", row)]
    assert len(said) > 12
    fragments = [re.sub(r"^(etcdserver|grpc): |: \.\.\.$", "", it) for it in said]
    assert [it for it in fragments if it not in SOURCES] == []


@pytest.mark.parametrize("page", ["slow", "alarms", "operate", "wan", "capacity"])
def test_metrics_that_pages_send_people_to_are_there(page: str) -> None:
    known = set(
        re.findall(
            r"^\| `(\w+)` \|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE
        )
    )
    assert len(known) > 100
    named = re.findall(r"`((?:roost|etcd)_\w+)", (ROOT / f"docs/how-to/{page}.md").read_text())
    assert {re.sub(r"_(bucket|sum|count)$", "", it) for it in named} <= known


def test_lines_are_as_long_as_the_page_says() -> None:
    page = (ROOT / PAGE).read_text()
    part = page[page.index("\n## Too many requests\n") : page.index("\n## Watchers are behind\n")]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| ([^|]+) \|$", part, re.MULTILINE))
    fields: dict[str, Any] = MemberConfig.__dataclass_fields__
    queue = fields["queue_count_max"].default, fields["queue_bytes_max"].default >> 20
    for metric, most in {
        "roost_queue_refused_total": queue,
        "roost_reads_in_line": (reads.WAITING_COUNT_MAX,),
        "roost_long_reads": (long_reads.READS_MAX, long_reads.UNBEGUN_MAX),
        "roost_passwords_waiting": (hashers.ADDRESS_MAX, hashers.WAITING_MAX),
        "etcd_server_has_leader": (router.PARKED_COUNT_MAX,),
        "roost_copies_refused_total": (costly.RUNNING_MAX, costly.WAITING_MAX),
    }.items():
        said = [int(it.replace(",", "")) for it in re.findall(r"[\d,]*\d", rows[metric])]
        assert tuple(said) == most, metric


def test_the_page_has_each_pool_of_memory() -> None:
    table = SLOW[SLOW.index("\n## Who holds the memory\n") :]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    source = (ROOT / "src/roost/server/pools.py").read_text()
    sizes = source[source.index("def sizes") : source.index("def held")]
    assert sorted(named) == sorted(re.findall(r'^ +"(\w+)":', sizes, re.MULTILINE))
