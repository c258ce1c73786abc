"""Alert rules and the dashboard ask for metrics that there are, in PromQL that is PromQL."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from deploy.grafana import panels

from roost.server.figures import FIGURES
from tests.deploy.configured import DEPLOY, ROOT
from tests.test_runbook import anchors

parser = pytest.importorskip("promql_parser")
RULES = DEPLOY / "prometheus" / "alerts.yml"
[GROUP] = yaml.safe_load(RULES.read_text())["groups"]
BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "roost.json").read_text())
PANELS = [it for it in BOARD["panels"] if it["type"] != "row"]
EXPRESSIONS = [
    *((it["alert"], it["expr"]) for it in GROUP["rules"]),
    *((it["title"], target["expr"]) for it in PANELS for target in it["targets"]),
]
# What Prometheus has of every target.
OTHERS = {"up"}


def there() -> set[str]:
    """All names that `/metrics` has."""
    found = set(OTHERS)
    for it in FIGURES:
        parts = ("_bucket", "_sum", "_count") if it.kind == "histogram" else ("",)
        found |= {it.name + part for part in parts}
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of an expression that was parsed."""
    match type(node).__name__:
        case "VectorSelector":
            yield node
        case "MatrixSelector":
            yield node.vector_selector
        case "Call":
            for it in node.args:
                yield from selectors(it)
        case "BinaryExpr":
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            yield from selectors(node.expr)
        case "AggregateExpr":
            yield from selectors(node.expr)
        case kind:
            assert kind in ("NumberLiteral", "StringLiteral"), kind


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_an_expression_asks_for_metrics_that_there_are(name: str, expression: str) -> None:
    found = list(selectors(parser.parse(expression.replace("$instance", ".*"))))
    assert found, name
    assert {it.name for it in found} <= there()
    # One job's at least, so that nobody is told of somebody else's etcd.
    assert 'job="roost"' in expression


def test_a_name_that_there_is_not_is_found() -> None:
    [one] = selectors(parser.parse("rate(etcd_server_proposals[5m])"))
    assert one.name not in there()


def test_labels_that_are_named_are_those_of_the_metrics() -> None:
    """By which rooms say them: `Sample` has them as pairs."""
    rooms = "".join(it.read_text() for it in (ROOT / "src" / "roost").rglob("figures.py"))
    known = set(re.findall(r'\(\("?(\w+)"?, ', rooms)) | set(re.findall(r'\("(\w+)", ', rooms))
    known |= {"job", "instance", "le", "alertname"}
    for name, text in EXPRESSIONS:
        for labels in re.findall(r"\b(?:by|on|group_right) \(([^)]*)\)", text):
            used = {it.strip() for it in labels.split(",") if it.strip()}
            assert used <= known, name
    for it in GROUP["rules"]:
        assert set(re.findall(r"\$labels\.(\w+)", it["annotations"]["summary"])) <= known


def test_an_alert_says_what_is_wrong_how_bad_that_is_and_where_to_read() -> None:
    names = [it["alert"] for it in GROUP["rules"]]
    assert len(names) == len(set(names)) > 15
    for it in GROUP["rules"]:
        assert it["labels"]["severity"] in ("warning", "critical")
        assert it["annotations"]["summary"].endswith(".")
        page, _, anchor = it["annotations"]["runbook"].partition("#")
        assert anchor in anchors(ROOT / page), it["alert"]
        assert it["alert"] in (ROOT / page).read_text()


def test_the_dashboard_is_what_its_table_says() -> None:
    assert panels.text() == panels.PATH.read_text(), "run `make docs`"


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for it in BOARD["panels"]:
        place = it["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, it["title"]
        taken |= cells
    assert len({it["id"] for it in BOARD["panels"]}) == len(BOARD["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
