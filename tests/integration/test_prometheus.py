"""Real Prometheus beside a member: as the oracle of PromQL, and as one who writes and reads.

It is Debian's `prometheus`; where it is not installed, these are skipped and say so.  What it knows
of late points and of NaN in windows is not what Roost does, so there are none among those compared.
No point lies where a window begins, for Prometheus 2 has it in the window, and 3 has not; and
counters begin far from zero, for 2 and 3 do not extrapolate towards it in the same way.
"""

import json
import math
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.integration.test_series import ask

pytest.importorskip("cramjam")

from tests.series.prometheus.test_service import written

PROMETHEUS = os.environ.get("ROOST_PROMETHEUS") or shutil.which("prometheus")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed"),
]
BEGIN = 1_700_000_000
PACKED = {"content_encoding": "snappy", "content_type": "application/x-protobuf"}

QUERIES = (
    "up", 'up{job="a"}', 'up{job!="a"}', 'up{job=~"a|c"}', 'up{job!~"a.*"}', "up offset 3m",
    "up + up", "up - 3", "-up", "up % 7", "up ^ 2", "2 ^ up", "up / (up - up)", "up > 20",
    "up > bool 20", "20 < up", "up == up", "1 + 2 * 3", "2 > bool 1", "time()", "vector(time())",
    'up and on(job) up{instance="1"}', "up or down", 'up unless up{job="a"}',
    "up * on(job, instance) down", "up * ignoring(env) down",
    "down + on(job) group_left() sum by (job) (up)",

    "sum(up) / on() group_left() count(up)",
    "up * on(job) group_left(env) max by (job, env) (down)",
    "sum(up)", "sum by (job) (up)", "sum without (instance) (up)", "avg(up)", "min by (job) (up)",
    "max(up)", "count by (job) (up)", "stddev(up)", "stdvar by (job) (up)", "group(up)",
    "topk(2, down)", "bottomk(1, down) by (job)", "quantile(0.9, up)",
    "quantile by (job) (0.5, up)",
    "quantile(-1, up)", "quantile(2, up)", "rate(total[5m])", "increase(total[3m])",
    "irate(total[5m])", "idelta(up[5m])", "delta(up[5m])", "deriv(up[10m])",
    "predict_linear(up[10m], 600)", "changes(up[10m])", "resets(total[10m])",
    "avg_over_time(up[10m])", "min_over_time(up[10m])", "max_over_time(up[10m])",
    "sum_over_time(up[10m])", "count_over_time(up[10m])", "stddev_over_time(up[10m])",
    "stdvar_over_time(up[10m])", "last_over_time(up[10m])", "present_over_time(up[10m])",
    "quantile_over_time(0.3, up[10m])", "avg_over_time(up[40m])", "sum_over_time(total[1h])",
    "stddev_over_time(up[45m])", "max_over_time(up[20m] offset 7m)", "absent(up)",
    'absent(nothing{a="b",c=~"d"})', "absent_over_time(nothing[5m])", "scalar(sum(up))",
    "scalar(up)", "abs(up - 20)", "ceil(up / 3)", "floor(up / 3)", "round(up / 3, 0.5)",
    "round(up)", "exp(up / 10)", "ln(up)", "log2(up)", "log10(up)", "sqrt(up)", "sgn(up - 20)",
    "clamp(up, 10, 20)", "clamp_min(up, 10)", "clamp_max(up, 20)", "clamp(up, 20, 10)",
    "sin(up)", "deg(up)", "timestamp(up)", "histogram_quantile(0.9, bucket)",
    "histogram_quantile(0.5, sum by (le) (rate(bucket[10m])))", "histogram_quantile(0.99, bucket)",
    "histogram_quantile(-1, bucket)", "histogram_quantile(0.01, bucket)", "pi() * 2",
    'label_replace(up, "new", "$1-x", "job", "(.*)")', 'label_replace(up, "job", "", "job", "a")',
    'label_join(up, "both", "/", "job", "instance")', "sum(rate(total[5m])) by (job) > 0.1",
    "sum(total) by (job) / ignoring(nothing) sum(up) by (job)", "count(up > 10) or vector(0)",
    f"up @ {BEGIN + 3000}", "sum_over_time(up[10m] @ end())",
    "rate(total[5m] @ start() offset -9m)",
    # No step of a subquery is where a window begins: before Prometheus 3 it was in the window.
    "max_over_time(up[10m:30s] offset 137ms)",
    "avg_over_time(rate(total[5m])[20m:1m] offset 137ms)",
    f"sum_over_time(sum(up)[7m:45s] @ {BEGIN + 3000} offset 137ms)",
    "abs(up atan2 down)", "max(up) - min(up)", "avg by (job) (up) >= on(job) min by (job) (up)",
)  # fmt: skip
# What both refuse.
REFUSED = (
    "up{", "rate(up)", "up + on(job) down", "up * on(job) group_left() down", "sum(", "nothing(up)",
    'up{job=~"("}', '{job=""}', '{job=~".*"}', "1 > 2",
    'label_replace(up, "job", "x", "job", ".*")',
)  # fmt: skip


def points() -> dict[str, list[tuple[int, float]]]:
    """An hour and a half of some series: gauges, counters that begin anew, histograms, gaps."""
    dice = random.Random(7)
    found: dict[str, list[tuple[int, float]]] = {}

    def moments(begin: int = 0, end: int = 360) -> list[int]:
        return [(BEGIN + 15 * it) * 1000 + 137 + dice.randrange(400) for it in range(begin, end)]

    for job in "abc":
        for instance in "12":
            title = f"job={job},instance={instance},env=e{job}"
            begin, end = dice.randrange(0, 60), dice.randrange(300, 360)
            held = [it for it in moments(begin, end) if dice.random() < 0.9]
            found[f"up{{{title}}}"] = [(it, float(dice.randrange(1, 40))) for it in held]
            found[f"down{{{title}}}"] = [(it, dice.random() * 9) for it in moments(40, 200)]
            total, rows = 1000.0 * dice.random(), []
            for it in moments():
                total = 0.0 if dice.random() < 0.01 else total + dice.randrange(9)
                rows.append((it, total))
            found[f"total{{{title}}}"] = rows
        counts = [1000.0] * 5
        rows_of: list[list[tuple[int, float]]] = [[] for _ in counts]
        for it in moments():
            counts = [held + dice.randrange(3) + 2 * place for place, held in enumerate(counts)]
            for place in range(len(counts)):
                rows_of[place].append((it, sum(counts[: place + 1])))
        for bound, rows in zip(("0.1", "0.5", "1", "10", "+Inf"), rows_of, strict=True):
            found[f"bucket{{job={job},le={bound}}}"] = rows
    return found


@contextmanager
def prometheus(folder: Path, **config: Any) -> Iterator[str]:
    """A process of it; where it listens."""
    assert PROMETHEUS is not None
    folder.mkdir()
    [port] = free_ports(1)
    endpoint = f"127.0.0.1:{port}"
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROMETHEUS, f"--config.file={folder}/prometheus.yml",
             f"--web.listen-address={endpoint}",
             f"--storage.tsdb.path={folder}/data", "--web.enable-remote-write-receiver"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: is_ready(endpoint) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield endpoint
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


def is_ready(endpoint: str) -> bool:
    try:
        return ask(endpoint, "GET", "/-/ready")[0] == 200
    except OSError:
        return False


@pytest.fixture
def member(tmp_path: Path) -> Iterator[str]:
    with Cluster(tmp_path, 1) as started:
        started.leader()
        yield started.endpoints[0]


def asked(endpoint: str, path: str, **given: Any) -> Any:
    status, body = ask(endpoint, "GET", f"/api/v1/{path}?{urlencode(given, doseq=True)}")
    answer = json.loads(body)
    return answer["data"] if status == 200 else (status, answer["errorType"])


Rows = dict[str, dict[float, float]]


def rows_of(answer: Any) -> Rows:
    """Numbers by the labels of their series and their moments."""
    if answer["resultType"] == "scalar":
        return {"": {answer["result"][0]: float(answer["result"][1])}}
    return {
        json.dumps(it["metric"], sort_keys=True): {
            moment: float(text) for moment, text in it.get("values") or [it["value"]]
        }
        for it in answer["result"]
    }


def difference(ours: Rows, theirs: Rows) -> str:
    if ours.keys() != theirs.keys():
        return f"series {ours.keys() ^ theirs.keys()}"
    for labels, held in theirs.items():
        if held.keys() != ours[labels].keys():
            return f"{labels}: moments {held.keys() ^ ours[labels].keys()}"
        for moment, value in held.items():
            found = ours[labels][moment]
            both_nan = math.isnan(value) and math.isnan(found)
            if not both_nan and not math.isclose(value, found, rel_tol=1e-9, abs_tol=1e-9):
                return f"{labels} at {moment}: {found}, and Prometheus says {value}"
    return ""


def compared(ours: str, theirs: str, queries: Sequence[str]) -> list[str]:
    found = []
    for query in queries:
        for step, moment in ((0, 1800), (0, 5400), (60, 1200), (420, 0)):
            if step:
                given = {"start": BEGIN + moment, "end": BEGIN + moment + 10 * step, "step": step}
            else:
                given = {"time": BEGIN + moment}
            path = "query_range" if step else "query"
            one, other = (asked(it, path, query=query, **given) for it in (ours, theirs))
            assert not isinstance(other, tuple), (query, other)
            text = str(one) if isinstance(one, tuple) else difference(rows_of(one), rows_of(other))
            found += [f"{query} ({step}, {moment}): {text}"] * bool(text)
    return found


def test_promql_is_what_real_prometheus_says(member: str, tmp_path: Path) -> None:
    with prometheus(tmp_path / "oracle") as oracle:
        body = written(points())
        for endpoint in (member, oracle):
            status, said = ask(endpoint, "POST", "/api/v1/write", body, **PACKED)
            assert status == 204, said
        assert compared(member, oracle, QUERIES) == []
        for query in REFUSED:
            one, other = (asked(it, "query", query=query, time=BEGIN + 1800)
                          for it in (member, oracle))  # fmt: skip
            assert one == other, query
        for path in ("labels", "label/job/values", "label/__name__/values", "series"):
            given = {"match[]": ['up{job!="a"}', "bucket"]}
            listed = [asked(it, path, **given, start=BEGIN, end=BEGIN + 5400)
                      for it in (member, oracle)]  # fmt: skip
            assert listed[0] == listed[1], path


def test_prometheus_writes_here_and_reads_it_back(member: str, tmp_path: Path) -> None:
    remote = f"http://{member}/api/v1"
    scraped = f"roost-member-{member}"
    with prometheus(
        tmp_path / "sender",
        **{"global": {"scrape_interval": "1s"}},
        scrape_configs=[{"job_name": scraped, "static_configs": [{"targets": [member]}]}],
        remote_write=[{"url": f"{remote}/write", "queue_config": {"batch_send_deadline": "100ms"}}],
    ) as sender:
        query = f'count_over_time(etcd_server_has_leader{{job="{scraped}"}}[1h])'

        def count() -> float:
            found = asked(member, "query", query=query)["result"]
            return float(found[0]["value"][1]) if found else 0.0

        wait_until(lambda: count() >= 2)
        failed = asked(sender, "query", query="prometheus_remote_storage_samples_failed_total")
        assert failed["result"] == []
    # A fresh one has nothing but what is here.
    with prometheus(
        tmp_path / "reader", remote_read=[{"url": f"{remote}/read", "read_recent": True}]
    ) as reader:
        theirs = rows_of(asked(reader, "query", query=query))
        assert len(theirs) == 1
        [held] = theirs.values()
        assert next(iter(held.values())) >= 2
        names = {
            it["__name__"]
            for it in asked(reader, "series", **{"match[]": [f'{{job="{scraped}"}}']})
        }
        assert {"up", "etcd_server_has_leader"} <= names
