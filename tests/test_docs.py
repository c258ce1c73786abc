"""The documentation is held to the program."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    ["settings.md", "cli.md", "metrics.md", "errors.md", "consensus.md", "differences.md"],
)
def test_a_reference_page_is_what_the_program_says(name: str) -> None:
    generator = load_generator()
    held = (ROOT / "docs" / "reference" / name).read_text()
    assert held == generator.PAGES[name](), "run `make docs`"


def test_every_link_between_our_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_walk_through_a_put_names_functions_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "one-put.md").read_text()
    named = re.findall(r"`([a-z_/0-9]+\.py):([A-Za-z_.]+)`", text)
    assert len(named) >= 15
    for path, name in named:
        source = (ROOT / "src" / "roost" / path).read_text()
        for part in name.split("."):
            assert re.search(rf"(def|class) {part}\b", source), f"{path} has no {name}"


def test_every_point_of_consensus_is_shown_by_somebody() -> None:
    shown = load_generator().shown_by()
    listed = [
        int(line.split()[0])
        for line in (ROOT / "docs" / "consensus-points.txt").read_text().splitlines()
        if line[0].isdigit()
    ]
    assert listed == list(range(1, 151))
    assert [it for it in listed if it not in shown] == []
    assert set(shown) <= set(listed)
