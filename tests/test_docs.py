"""The documentation is held to the program."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", autouse=True)
def all_in_one_worker() -> None:
    """The generator looks through all tests once."""


@cache
def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        "settings.md",
        "cli.md",
        "metrics.md",
        "http.md",
        "errors.md",
        "client.md",
        "series-client.md",
        "database.md",
        "testing.md",
        "objects.md",
        "consensus.md",
        "journal.md",
        "differences.md",
    ],
)
def test_a_reference_page_is_what_the_program_says(name: str) -> None:
    generator = load_generator()
    held = (ROOT / "docs" / "reference" / name).read_text()
    assert held == generator.PAGES[name](), "run `make docs`"


def test_defaults_that_are_texts_have_their_quotes() -> None:
    """`key: bytes = b` is what a reader would copy."""
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        calls = re.findall(r"```python\n(\w[^\n]*\) -> [^\n]*)\n```", page.read_text())
        for call in calls:
            assert not re.search(r"= b?[,)]", call), f"{page.name}: {call}"


def test_every_link_between_our_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _cells(row: str) -> int:
    return re.sub(r"\\\||`[^`]*`", "", row).strip().strip("|").count("|")


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    """A table that was put into another one's row was neither."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")]
    for page in pages:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            head, *rows = table.splitlines()
            odd = [it for it in rows if _cells(it) != _cells(head)]
            assert odd == [], f"{page.relative_to(ROOT)}: {odd[:1]}"


def test_every_test_that_a_page_names_is_there() -> None:
    """A row of `docs/bugs.md` is worth the test that showed the bug."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        (page.name, path, function)
        for page in pages
        for path, function in re.findall(
            r"`(tests/[\w/]+(?:\.py|\.txt)?)(?:::(\w+))?", page.read_text()
        )
    }
    assert len(named) > 50
    for page_name, path, function in named:
        assert (ROOT / path).exists(), f"{page_name} names {path}"
        if function:
            assert f"def {function}" in (ROOT / path).read_text(), f"{page_name}: {function}"


@pytest.mark.parametrize(
    ("page", "names_min"),
    [("explanation/one-put.md", 15), ("architecture.md", 15), ("how-to/data-model.md", 10)],
)
def test_a_page_that_leads_through_the_code_names_what_exists(page: str, names_min: int) -> None:
    text = (ROOT / "docs" / page).read_text()
    for path in re.findall(r"`([a-z_/0-9]+\.py)`", text):
        assert (ROOT / "src" / "roost" / path).exists() or path.startswith("tests/"), path
    named = re.findall(r"`([a-z_/0-9]+\.py):([A-Za-z_.]+)`", text)
    assert len(named) >= names_min
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


def numbers_named(letter: str) -> dict[str, Path]:
    """Numbers such as `J17` in code, tests and pages, with a file that names each."""
    found: dict[str, Path] = {}
    for room in ("src", "tests", "docs", "bench"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".py", ".md", ".txt") and path.name != f"{LISTS[letter]}":
                for number in re.findall(rf"\b{letter}[1-9][0-9]?\b", path.read_text()):
                    found.setdefault(number, path)
    return found


LISTS = {"J": "journal-points.txt", "P": "reliability.md", "D": "architecture.md"}


def test_every_decision_that_is_named_stands_on_the_first_page() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^\| (D[0-9]+) \|", text, re.MULTILINE)
    assert listed == [f"D{number}" for number in range(1, len(listed) + 1)]
    assert {it: path for it, path in numbers_named("D").items() if it not in listed} == {}


def test_the_first_page_shows_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = text.split("```")[1]
    rooms = {it.parent.name for it in (ROOT / "src" / "roost").glob("*/__init__.py")}
    assert rooms - set(re.findall(r"[a-z]+", picture)) == set()


def test_every_point_of_the_journal_is_shown_by_somebody() -> None:
    generator = load_generator()
    listed, shown = list(generator.journal_points()), generator.journal_shown_by()
    assert listed == sorted(set(listed), key=lambda it: int(it[1:])), "in order, none twice"
    assert [it for it in listed if it not in shown] == []
    assert {it: path for it, path in numbers_named("J").items() if it not in listed} == {}


def test_every_promise_that_is_named_has_a_row_that_says_who_shows_it() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| (P[0-9]+) [^|]+\| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    listed = {number for number, _, _ in rows}
    assert len(rows) == len(listed) > 10, "none twice"
    assert {it: path for it, path in numbers_named("P").items() if it not in listed} == {}
    for number, shown_by, _ in rows:
        for path in re.findall(r"`(tests/[a-z_/]+(?:\.py)?)`", shown_by):
            assert (ROOT / path).exists(), f"{number} is shown by {path}, which is not there"
