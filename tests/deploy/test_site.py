"""The documentation as a site: all pages are on it, and their links lead to pages of it.

`make site` builds it, strictly; here nothing is built, since what builds it is not installed.
"""

import re
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any

import pytest
import yaml
from deploy.site import hooks

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "deploy" / "site"


def configured() -> dict[str, Any]:
    """What MkDocs is told; the one function in it is none of ours."""
    text = re.sub(r"!!python/\S+ ", "", (SITE / "mkdocs.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def pages_of(nav: Any) -> list[str]:
    match nav:
        case str():
            return [nav]
        case dict():
            return [it for inner in nav.values() for it in pages_of(inner)]
        case _:
            return [it for inner in nav for it in pages_of(inner)]


def pages() -> set[str]:
    """All pages of the site."""
    ours = {str(it.relative_to(ROOT / "docs")) for it in (ROOT / "docs").rglob("*.md")}
    return ours | set(hooks.all_told().values())


def test_every_page_is_found_by_the_menu() -> None:
    """But decisions, which their list has, and examples, which pages lead to."""
    listed = pages_of(configured()["nav"])
    assert len(listed) == len(set(listed))
    hidden = {it for it in pages() if it.startswith(("decisions/0", "examples/"))}
    assert set(listed) == pages() - hidden


@pytest.mark.parametrize("source", sorted({*hooks.TOLD, *(
    str(it.relative_to(ROOT)) for it in (ROOT / "docs").rglob("*.md"))}))  # fmt: skip
def test_links_lead_to_pages_of_the_site(source: str) -> None:
    told, known = hooks.all_told(), pages()
    text = hooks.relinked((ROOT / source).read_text(), source, told)
    own = hooks.place_of(source, told)
    assert own is not None
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", text):
        if "://" in target or f"`{target}" in text:
            continue
        place = normpath(f"{dirname(own)}/{target}".lstrip("/"))
        assert place in known or (ROOT / "docs" / place).is_file(), f"{source}: {target}"


def test_what_is_code_is_left_as_it_is_and_what_is_no_page_is_told() -> None:
    told = hooks.all_told()
    text = "`[a](b.md)` and [c](../README.md#x)\n\n```\n[d](e)\n```\n"
    said = "`[a](b.md)` and [c](index.md#x)\n\n```\n[d](e)\n```\n"
    assert hooks.relinked(text, "docs/style.md", told) == said
    with pytest.raises(LookupError, match="no page of the site"):
        hooks.relinked("[a](../src/roost/call.py)", "docs/style.md", told)


def test_nobody_who_reads_asks_another_server() -> None:
    theme = configured()["theme"]
    assert theme["font"] is False
    assert "extra_javascript" not in configured()
