"""What MkDocs is told of our pages, which are written to be read where they lie.

Pages link to what lies beside `docs/`, too: to README.md, SECURITY.md, examples.  On the site these
are pages like others: the README is the first one, an example is a page with its text.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

ROOT = Path(__file__).parent.parent.parent
# Files of the project that are pages of the site, by their paths there.
TOLD = {
    "README.md": "index.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
}
ICON = "src/roost/dashboard/static/icon.svg"
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_PYTHON = "# {title}\n\n```python\n{text}```\n"


def examples(root: Path = ROOT) -> Iterator[Path]:
    """Programs that pages link to, from the project's folder on."""
    for path in sorted((root / "examples").rglob("*.py")):
        yield path.relative_to(root)


def place_of(path: str, told: dict[str, str]) -> str | None:
    """Where a file of the project is on the site; None = nowhere."""
    if path.startswith("docs/"):
        inner = path.removeprefix("docs/")
        return f"{inner}/README.md" if (ROOT / path).is_dir() else inner
    return told.get(path)


def relinked(text: str, source: str, told: dict[str, str]) -> str:
    """A page whose links lead to pages of the site; `source` is its path in the project.

    Raises:
        LookupError: a link leads to what is no page there: the source code is not on the site.

    """
    own = place_of(source, told)
    assert own is not None, f"{source} is a page"
    spans = [it.span() for it in _CODE.finditer(text)]

    def lead(found: re.Match[str]) -> str:
        target = found[2]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        if any(start <= found.start() < stop for start, stop in spans):
            return found[0]
        path = normpath(str(PurePosixPath(source).parent / target))
        place = place_of(path, told)
        if place is None:
            raise LookupError(f"{source} links to {path}, which is no page of the site")
        up = len(PurePosixPath(own).parent.parts)
        return f"{found[1]}{'../' * up}{place}{found[3]}"

    return _LINK.sub(lead, text)


def all_told(root: Path = ROOT) -> dict[str, str]:
    """Everything beside `docs/` that is a page."""
    return TOLD | {str(it): f"{it.with_suffix('')}.md" for it in examples(root)}


def on_files(files: Any, config: Any) -> Any:  # Any: MkDocs' own, which tests do without
    """Add what lies beside `docs/`."""
    from mkdocs.structure.files import File

    told = all_told()
    for source, place in told.items():
        text = (ROOT / source).read_text()
        if source.endswith(".py"):
            text = _PYTHON.format(title=source, text=text)
        else:
            text = relinked(text, source, told)
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "images/icon.svg", content=(ROOT / ICON).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:  # Any: as above
    """Have the links of a page lead to pages of the site."""
    if page.file.generated_by:
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}", all_told())
