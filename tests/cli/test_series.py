"""`roost series`: each command as it is typed, for people and for programs."""

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from roost.cli.series.shared import length, shown, zone_of
from roost.client.series import connect
from roost.client.series.questions import WINDOWS_MAX
from roost.series import asking
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S
from tests.cli.test_client_commands import Shell

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
MARCH = "2024-03-01T00:00:00Z"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Cluster(tmp_path_factory.mktemp("m"), 1) as started:
        started.leader()
        yield Shell(started.endpoints[0])


def test_points_are_added_asked_for_tagged_and_deleted(shell: Shell) -> None:
    shell.run("series", "add", "heat", "21.5", "--time", MARCH)
    shell.run("series", "add", "heat", "--time", "1709254800000000000", "--", "-3")
    assert shell.run("series", "query", "heat", "--tz", "Europe/Prague").splitlines() == [
        "heat", "TIME                       VALUE", "2024-03-01T01:00:00+01:00   21.5",
        "2024-03-01T02:00:00+01:00     -3",
    ]  # fmt: skip
    found = shell.rows("series", "query", "heat", "--window", "1d", "--agg", "max,count")
    assert found == [{"series": "heat", "time": 1709251200 * 10**9, "max": 21.5, "count": 2}]
    text = shell.run("series", "query", "heat", "--csv", "--start", MARCH, "--end", "now")
    assert text.splitlines() == ["series,time,value", f"heat,{MARCH},21.5",
                                 "heat,2024-03-01T01:00:00Z,-3.0"]  # fmt: skip
    assert shell.run("series", "tag", "heat", "temp:C", "room:1") == "room:1 temp:C\n"
    assert shell.rows("series", "tag", "heat", "--remove", "room:1") == [
        {"name": "heat", "tags": {"temp": "C"}}
    ]
    listed = shell.run("series", "ls", "--tag", "temp:C", "--counts").splitlines()
    assert listed[1].split() == ["heat", "temp:C", MARCH, "2024-03-01T01:00:00Z", "2"]
    assert shell.rows("series", "ls", "--prefix", "nothing") == []
    said = shell.run("series", "delete", "heat", "--start", MARCH, "--end",
                     "2024-03-01T00:30:00Z", "--yes")  # fmt: skip
    assert said == "1 points deleted\n"
    assert "Delete 1 points of heat?" in shell.run("series", "delete", "heat", "--all", code=130)
    assert shell.rows("series", "delete", "heat", "--all", "--yes") == [
        {"name": "heat", "deleted": 1}
    ]
    assert shell.rows("series", "ls") == []


def test_what_is_exported_is_imported(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    lines = [f'"m.f{{host=""a b""}}",2024-03-01T00:00:{it:02d}Z,{it}.5' for it in range(60)]
    path.write_text("\n".join(["series,time,value", *lines]) + "\n")
    assert shell.run("series", "import", str(path)) == "60 rows imported\n"
    assert shell.run("series", "export", "m.f").splitlines() == ["series,time,value", *lines]
    assert len(shell.rows("series", "export", "m.f")) == 60
    # All there is, each point once, also where a name has series with labels and one without.
    for name, value in (("m.f", "7"), ("z.last", "8")):
        shell.run("series", "add", name, value, "--time", MARCH)
    everything = shell.run("series", "export").splitlines()
    assert (everything[0], everything.count(everything[0])) == ("series,time,value", 1)
    more = {f"m.f,{MARCH},7.0", f"z.last,{MARCH},8.0"}
    assert sorted(everything[1:]) == sorted({*lines, *more})
    assert len(shell.rows("series", "export")) == 62
    path.write_text("time,value\n1,1\nyesterday,2\n")
    said = shell.run("series", "import", str(path), "--name", "other", code=1)
    assert said.startswith("Error: row 2: 'yesterday' is no time")
    path.write_text("when,value\n1,1\n")
    assert "columns are" in shell.run("series", "import", str(path), "--name", "x", code=1)


def test_points_of_many_series_are_deleted_by_a_job(shell: Shell) -> None:
    lines = "".join(
        f"many,all=1,of={it} f={it} {second}\n" for it in range(501) for second in (1, 9)
    )
    with urlopen(Request(f"http://{shell.endpoint}/write?precision=s", lines.encode())) as answer:
        assert answer.status == 204
    span = (
        "--start",
        "1970-01-01T00:00:00Z",
        "--end",
        "1970-01-01T00:00:05Z",
        "--timeout",
        str(PATIENCE_S),
    )
    said = shell.run("series", "delete", "--tag", "all=1", *span, "--yes")
    assert said == "501 points deleted\n"
    (found,) = shell.rows("series", "jobs")
    assert (found["state"], found["series_done"], found["deleted"]) == ("done", 501, 501)
    (row,) = shell.rows("series", "delete", "--tag", "all=1", *span, "--yes", "--no-wait")
    assert (row["job"], row["points"]) == (2, 0)
    (cancelled,) = shell.rows("series", "jobs", "--cancel", "2")
    assert cancelled["state"] in ("cancelled", "done")
    heads, *rows = shell.run("series", "jobs").splitlines()
    assert heads.split()[:2] == ["JOB", "STATE"]
    assert [it.split()[1] for it in rows] == ["done", cancelled["state"]]
    assert "no job 9" in shell.run("series", "jobs", "--cancel", "9", code=3)
    assert "NAME and --all" in shell.run("series", "delete", "--tag", "a=1", "--all", code=2)


def test_a_folder_of_parquet_is_written_and_written_again(shell: Shell, tmp_path: Path) -> None:
    try:
        from pyarrow import parquet
    except ImportError:
        pytest.skip("nothing is known of Parquet here: pyarrow is not installed")
    for day in ("2024-01-31", "2024-02-01"):
        shell.run("series", "add", "kept{room=1}", "1.5", "--time", f"{day}T12:00:00Z")
    command = ("series", "export", "kept", "--by", "room", "--parquet", str(tmp_path / "archive"),
               "--timeout", str(PATIENCE_S))  # fmt: skip
    assert shell.run(*command).splitlines() == [
        "1/2\troom=1/month=2024-01/points.parquet\twritten\t1 rows",
        "2/2\troom=1/month=2024-02/points.parquet\twritten\t1 rows",
        "2 written, 0 unchanged, 0 kept, 0 removed",
    ]
    assert {it["state"] for it in shell.rows(*command)} == {"unchanged"}
    path = tmp_path / "archive" / "room=1" / "month=2024-02" / "points.parquet"
    assert parquet.ParquetFile(path).read().column("value").to_pylist() == [1.5]
    assert "another folder" in shell.run(*command[:2], *command[3:], code=3)
    # This month's points are written when it is over: nothing was said of why there was no file.
    shell.run("series", "add", "young", "1", "--time", "now")
    young = ("series", "export", "young", "--parquet", str(tmp_path / "young"))
    assert re.search(
        r"nothing to write: .* \d{4}-\d\d-01, and a month .*--every day", shell.run(*young)
    )
    days = shell.run(*young[:-1], str(tmp_path / "days"), "--every", "day", "--settled-days", "0")
    assert re.search(r"no point before \d{4}-\d\d-\d\d, and a day is .* over; ", days)
    assert "whole months" in shell.run(*command, "--start", "now-1d", code=2)


def test_rules_and_figures(shell: Shell) -> None:
    told = shell.run("series", "note", "too high", "--series", "cli.noted")
    assert told == "series cli.noted\ttoo high\n"
    assert shell.rows("series", "note", "--remove", "--series", "cli.noted") == []
    assert "TEXT or --remove" in shell.run("series", "note", "a", "--remove", code=2)
    assert shell.rows("series", "dedup", "cli.highest", "last") == [
        {"name": "cli.highest", "dedup": "last"}
    ]
    shell.run("series", "delete", "cli.highest", "--all", "--yes")
    assert shell.run("series", "retain", "90d", "--tag", "temp:C") == "tag temp=C\t90d\n"
    assert shell.rows("series", "retain") == [{"tag": "temp=C", "keep_s": 7776000.0}]
    told = shell.run("series", "retain", "30d", "--sums", "forever", "--tag", "temp:C")
    assert told == "tag temp=C\t30d, sums forever\n"
    told = shell.run("series", "retain", "30d", "--sums", "60d", "--tag", "temp:C")
    assert told == "tag temp=C\t30d, sums 60d\n"
    assert "say KEEP" in shell.run("series", "retain", "--sums", "60d", code=2)
    assert shell.run("series", "retain", "forever", "--tag", "temp:C") == ""
    (found,) = shell.rows("series", "stats")
    assert found["is_leader"] is True
    assert "staged_points" in shell.run("series", "stats")


def test_points_are_printed_as_they_come(shell: Shell) -> None:
    shell.run("series", "add", "told", "1", "--time", "1")
    tailing = shell.start("series", "tail", "told", "--json")
    assert tailing.stdout is not None
    with ThreadPoolExecutor(1) as pool, connect(shell.endpoint) as con:
        line = pool.submit(tailing.stdout.readline)
        while not line.done():
            con.add("told", 2, 7.5)
            con.flush()
    assert json.loads(line.result()) == {"series": "told", "time": 2, "value": 7.5}
    tailing.send_signal(signal.SIGINT)
    tailing.communicate(timeout=PATIENCE_S)
    assert tailing.returncode == 0
    assert "no such series" in shell.run("series", "tail", "nobody", code=3)


def test_what_is_wrong_is_said_in_a_line(shell: Shell) -> None:
    for arguments in (
        ("series", "add", "heat", "1", "--time", "yesterday"),
        ("series", "delete", "heat"),
        ("series", "tail"),
    ):
        assert "Error" in shell.run(*arguments, code=2)
    refused: list[list[str]] = [
        ["series", "query", "heat", "--window", "1 apple"], ["series", "tag", "nothing", "a:b"]
    ]  # fmt: skip
    for given in refused:
        assert shell.run(*given, code=3).startswith("Error")
    assert "say which series" in shell.run("series", "query", code=2)
    assert "Error" in shell.run("series", "ls", "--endpoints", "127.0.0.1:1", code=4)


@pytest.mark.parametrize(
    ("tz", "expected"),
    [
        ("", "2024-07-01T00:00:00.5Z"),
        ("Europe/Prague", "2024-07-01T02:00:00.5+02:00"),
        ("Asia/Kathmandu", "2024-07-01T05:45:00.5+05:45"),
        ("No/Such", "2024-07-01T00:00:00.5Z"),
        ("..", "2024-07-01T00:00:00.5Z"),
    ],
)
def test_times_are_shown_in_the_zone_that_was_asked_for(tz: str, expected: str) -> None:
    assert shown(1_719_792_000_500_000_000, zone_of(tz)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(7_776_000.0, "90d"), (43_200.0, "12h"), (90.0, "90s"), (120.0, "2m"), (1.5, "1.5s")],
)
def test_lengths_are_said_as_they_are_typed(seconds: float, expected: str) -> None:
    assert length(seconds) == expected


def test_a_client_is_told_of_too_many_windows_where_a_member_would_refuse_them() -> None:
    assert WINDOWS_MAX == asking.POINTS_MAX
