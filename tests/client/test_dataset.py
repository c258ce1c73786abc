"""Points exported as a data set of Parquet: once, again, after a stop, and read by others."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roost
from roost.client import series
from roost.client.series import BadPoint, State
from roost.client.series.blocking import Connection
from roost.errors import PackageMissing

try:
    from pyarrow import parquet

    from roost.arrow import pa
except (PackageMissing, ImportError) as missing:
    pytest.skip(f"nothing is known of Arrow here: {missing}", allow_module_level=True)

pytestmark = pytest.mark.slow
DAY = 24 * 3600 * 10**9
JANUARY = 1_704_067_200 * 10**9  # of 2024
FEBRUARY, MARCH, APRIL = JANUARY + 31 * DAY, JANUARY + 60 * DAY, JANUARY + 91 * DAY


@pytest.fixture
def con() -> Iterator[Connection]:
    """Three series of a point each 6 hours, of two rooms and of none."""
    times = np.arange(JANUARY, APRIL, DAY // 4)
    with roost.open(None) as db, db.series.connect(wait_for_server_flush=True) as con:
        for place, name in enumerate(("heat{room=1}", "heat{room=b/2}", "rain")):
            con.add_many(name, times, np.arange(len(times)) + 0.25 * place)
        con.add("heat", MARCH, 7.0)
        con.flush()
        yield con


def run(con: Connection, root: Path, **how: Any) -> dict[str, tuple[State, int]]:
    given = {"until_ns": APRIL, **how}
    return {it.path: (it.state, it.rows) for it in series.export(con, root, **given)}


def rows(root: Path, path: str = ".") -> list[tuple[str, int, float]]:
    """What another reader finds, of all files."""
    found = []
    for it in sorted((root / path).rglob("*.parquet")):
        table = parquet.ParquetFile(it).read()
        names, values = table.column("series").to_pylist(), table.column("value").to_pylist()
        times = table.column("time").cast(pa.int64()).to_pylist()
        found += list(zip(names, times, values, strict=True))
    return found


def asked(con: Connection, *names: str) -> list[tuple[str, int, float]]:
    found = []
    for table in con.query(*names).between(JANUARY, APRIL).fetch().tables:
        values = table.columns["value"]
        found += [(table.name, at, it) for at, it in zip(table.times, values, strict=True)]
    return found  # type: ignore[return-value]  # there is no NaN in it


def test_all_points_are_in_files_by_month_and_tag_once(con: Connection, tmp_path: Path) -> None:
    done = run(con, tmp_path, by="room")
    months = [f"month=2024-0{it}/points.parquet" for it in (1, 2, 3)]
    folders = ("room=1", "room=b%2F2", "room=__HIVE_DEFAULT_PARTITION__")
    assert sorted(done) == sorted(f"{it}/{month}" for it in folders for month in months)
    assert done[f"room=1/{months[0]}"] == (State.WRITTEN, 124)
    assert sorted(rows(tmp_path)) == sorted(asked(con, "heat", "rain"))
    manifest = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert json.loads(manifest[0])["by"] == "room"
    listed = [json.loads(it) for it in manifest[1:]]
    assert {it["path"]: it["rows"] for it in listed} == {it: n for it, (_, n) in done.items()}
    assert all((tmp_path / it["path"]).stat().st_size == it["bytes"] for it in listed)


def test_again_only_what_is_new_or_has_changed_is_written(con: Connection, tmp_path: Path) -> None:
    first = run(con, tmp_path, until_ns=MARCH)
    assert sorted(first) == ["month=2024-01/points.parquet", "month=2024-02/points.parquet"]
    con.add("rain", JANUARY + 1, 5.0)
    con.flush()
    again = run(con, tmp_path)
    assert [it for it, _ in again.values()] == [State.WRITTEN, State.UNCHANGED, State.WRITTEN]
    assert sorted(rows(tmp_path)) == sorted(asked(con, "heat", "rain"))
    assert {it for it, _ in run(con, tmp_path).values()} == {State.UNCHANGED}


def test_what_the_store_no_longer_has_stays_unless_it_is_a_mirror(
    con: Connection, tmp_path: Path
) -> None:
    before = run(con, tmp_path)
    held = rows(tmp_path)
    con.delete("heat", JANUARY, FEBRUARY)
    con.delete("rain", JANUARY, FEBRUARY + DAY)
    con.delete("heat", FEBRUARY, FEBRUARY + DAY)
    again = run(con, tmp_path)
    january, february, march = sorted(before)
    assert {path: state for path, (state, _) in again.items()} == {
        february: State.KEPT, march: State.UNCHANGED
    }  # fmt: skip
    assert again[february] == (State.KEPT, before[february][1])
    assert rows(tmp_path) == held
    assert {it for it, _ in run(con, tmp_path).values()} == {State.UNCHANGED}, "it is told once"
    con.add("rain", FEBRUARY + 1, 5.0)
    con.flush()
    mirrored = run(con, tmp_path, mirrors=True)
    assert mirrored[january] == (State.REMOVED, 0)
    assert mirrored[february][0] is State.WRITTEN
    assert sorted(rows(tmp_path)) == sorted(asked(con, "heat", "rain"))


def test_what_was_stopped_goes_on_where_it_was(con: Connection, tmp_path: Path) -> None:
    stopped = series.export(con, tmp_path, until_ns=APRIL)
    first = next(stopped)
    stopped.close()  # type: ignore[attr-defined]  # it is a generator
    # As a crash leaves it: half a file, half a line, and a file whose line is not there.
    (tmp_path / "month=2024-02").mkdir()
    (tmp_path / "month=2024-02" / "points.part").write_bytes(b"PAR1")
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(b'{"path":"month=2024-02/po')
    again = run(con, tmp_path)
    assert [it for it, _ in again.values()] == [State.UNCHANGED, State.WRITTEN, State.WRITTEN]
    assert next(iter(again)) == first.path
    assert sorted(rows(tmp_path)) == sorted(asked(con, "heat", "rain"))
    assert {it for it, _ in run(con, tmp_path).values()} == {State.UNCHANGED}
    assert list(tmp_path.rglob("*.part")) == []


def test_a_folder_has_one_export_at_a_time_and_of_one_question(
    con: Connection, tmp_path: Path
) -> None:
    going = series.export(con, tmp_path, "rain", until_ns=APRIL)
    next(going)
    with pytest.raises(BadPoint, match="another export"):
        next(series.export(con, tmp_path, "rain", until_ns=APRIL))
    list(going)
    with pytest.raises(BadPoint, match="another folder"):
        next(series.export(con, tmp_path, "heat", until_ns=APRIL))
    (tmp_path / "manifest.jsonl").write_text("nothing\n")
    with pytest.raises(BadPoint, match="no manifest"):
        next(series.export(con, tmp_path, "rain", until_ns=APRIL))


def test_what_is_asked_for_is_what_is_exported(con: Connection, tmp_path: Path) -> None:
    run(con, tmp_path, tags=["room:1"], every=series.Every.DAY, until_ns=JANUARY + 2 * DAY)
    assert rows(tmp_path) == asked(con, "heat{room=1}")[:8]
    assert (tmp_path / "day=2024-01-02" / "points.parquet").exists()
    for it in series.export(con, tmp_path / "named", "heat", "rain", by="room", until_ns=APRIL):
        assert it.state is State.WRITTEN
    assert sorted(rows(tmp_path / "named")) == sorted(asked(con, "heat", "rain"))


def _read_by_duckdb(duckdb: Any, root: Path) -> list[tuple[Any, ...]]:
    files = f"read_parquet('{root}/**/*.parquet', hive_partitioning = true)"
    found: list[tuple[Any, ...]] = duckdb.sql(
        f"SELECT room, month, max(value), count(*) FROM {files} "
        "WHERE room IS NOT NULL GROUP BY room, month ORDER BY room, month"
    ).fetchall()
    return [(str(room), str(month)[:7], most, count) for room, month, most, count in found]


def _read_by_polars(polars: Any, root: Path) -> list[tuple[Any, ...]]:
    scan = polars.scan_parquet(root / "**/*.parquet", hive_partitioning=True)
    room, month = (polars.col(it).cast(polars.String) for it in ("room", "month"))
    found = (
        scan.with_columns(room, month)
        .filter(polars.col("room").is_not_null())
        .group_by("room", "month")
        .agg(polars.col("value").max().alias("max"), polars.len())
        .sort("room", "month")
    )
    rows: list[tuple[Any, ...]] = found.collect().rows()
    return [(room, month[:7], most, count) for room, month, most, count in rows]


@pytest.mark.parametrize(
    ("name", "read"), [("duckdb", _read_by_duckdb), ("polars", _read_by_polars)]
)
def test_others_answer_the_same_question_of_the_data_set(
    con: Connection, tmp_path: Path, name: str, read: Any
) -> None:
    try:
        library = import_module(name)
    except ImportError:
        pytest.skip(f"nothing is known of {name} here: it is not installed")
    run(con, tmp_path, by="room")
    ours = con.query("heat").between(JANUARY, APRIL).window("1mo").aggregate("max", "count")
    expected = []
    for table in ours.fetch().tables:
        if table.labels:
            for place, month in enumerate(("2024-01", "2024-02", "2024-03")):
                values = [table.columns[it][place] for it in ("max", "count")]
                expected.append((table.labels["room"], month, *values))
    assert read(library, tmp_path) == expected
