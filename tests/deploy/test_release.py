"""A release is judged by a command, and its bill of materials has everything that is packed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deploy.pins import NotHere, pinned

from deploy import release, sbom
from tests.deploy.configured import ROOT


def test_the_bill_names_all_that_is_packed_with_what_it_needs_and_its_licence() -> None:
    held: dict[str, Any] = json.loads(sbom.text())
    assert (held["bomFormat"], held["specVersion"]) == ("CycloneDX", "1.5")
    components = {it["name"]: it for it in held["components"]}
    assert {name: it["version"] for name, it in components.items()} == pinned()
    references = {it["bom-ref"] for it in held["components"]}
    references.add(held["metadata"]["component"]["bom-ref"])
    graph = {it["ref"]: set(it["dependsOn"]) for it in held["dependencies"]}
    assert graph.keys() == references
    assert set().union(*graph.values()) <= references
    # All are reached from Roost: nothing is packed that nobody needs.
    reached, to_see = set(), [held["metadata"]["component"]["bom-ref"]]
    while to_see:
        it = to_see.pop()
        if it not in reached:
            reached.add(it)
            to_see += graph[it]
    assert reached == references
    # It says what it is in its folder only.
    silent = {name for name, it in components.items() if not it.get("licenses")}
    assert silent <= {"promql-parser"}


def test_the_bill_is_the_same_each_time_and_another_one_for_other_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "roost.cdx.json"
    command = [sys.executable, "-m", "deploy.sbom", "--into", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)
    assert path.read_text() == sbom.text()
    click = pinned()["click"]
    monkeypatch.setattr(sbom, "pinned", lambda: {"click": click})
    monkeypatch.setattr(sbom, "needs", lambda *_: set())
    few = sbom.bill()
    assert few["serialNumber"] != json.loads(path.read_text())["serialNumber"]
    monkeypatch.setattr(sbom, "pinned", lambda: {"click": "0.0.1"})
    with pytest.raises(NotHere, match=r"click is \S+ here, and 0\.0\.1 in .*lock"):
        sbom.bill()
    monkeypatch.setattr(sys, "argv", ["sbom", "--into", str(path)])
    with pytest.raises(SystemExit, match=r"sbom: click .*: run `make sbom`"):
        sbom.main()


@pytest.mark.parametrize(
    ("changelog", "fragments", "wrong"),
    [
        ("## 0.2.0 (2026-12-01)\n", [], ["", ""]),
        ("## 0.2.0 (not released)\n", [], ["0.2.0 has no date, but 'not released'", ""]),
        (
            "## 0.1.0 (2026-12-01)\n",
            [],
            ["its newest section is 0.1.0, pyproject.toml says 0.2.0", ""],
        ),
        ("## 0.2.0 (2026-12-01)\n", ["1.feature.md"], ["", "1 fragments are not gathered"]),
        ("nothing\n", [], ["it has no section"]),
    ],
)
def test_a_changelog_that_does_not_tell_of_the_version_is_found(
    changelog: str, fragments: list[str], wrong: list[str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changes\n\n{changelog}")
    (tmp_path / "changes").mkdir()
    for name in fragments:
        (tmp_path / "changes" / name).write_text("It does more.\n")
    rows = list(release.changes(tmp_path))
    assert len(rows) == len(wrong)
    for row, text in zip(rows, wrong, strict=True):
        assert row.wrong.startswith(text) and bool(row.wrong) == bool(text)


def test_a_version_that_is_another_one_somewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (tmp_path / "clients" / "js").mkdir(parents=True)
    package = tmp_path / "clients" / "js" / "package.json"
    package.write_text('{"version": "0.2.0"}')
    [row] = release.versions(tmp_path, "0.2.0")
    assert (row.found, row.wrong) == ("0.2.0", "")
    package.write_text('{"version": "0.1.0"}')
    [row] = release.versions(tmp_path, "0.3.0")
    assert row.wrong == (
        "pyproject.toml says 0.2.0, clients/js/package.json says 0.1.0"
        " and what is installed here says 0.3.0"
    )


def test_all_that_says_a_version_says_the_same_one() -> None:
    [row] = release.versions(here=release.release())
    assert not row.wrong


def test_the_page_for_maintainers_and_the_makefile_have_the_commands() -> None:
    page, makefile = (ROOT / "docs/how-to/release.md").read_text(), (ROOT / "Makefile").read_text()
    for name in ("release-check", "sbom", "deb", "wheel", "fresh", "test", "docs"):
        assert f"`make {name}`" in page
        assert f"\n{name}:" in makefile
