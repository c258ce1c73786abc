"""The files of the page, as they lie in `static/`: read when they are asked for, so an edit shows.

There are few, and they are small; a name that is not of the folder's is not there.  `client` in it
is our own client for browsers (`clients/js`): a link in a working copy, files where it is
installed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from roost.exchange import Answer, Fields, not_found

FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Nothing but our own files runs, and nothing leaves but to where they came from (CSP Level 3).
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
    b"'script'; trusted-types 'none'"
)
# Of what is no page: kept by nobody, taken for nothing else, and of no page of another origin.
DATA_GUARDS: Fields = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
GUARDS: Fields = (
    (b"content-security-policy", POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    *DATA_GUARDS,
)


def files_of(folder: Path) -> Iterator[Path]:
    """All files below a folder, also where a link leads to another one."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, it) for it in names)


class Pages:
    """The files there are, by the ends of their paths."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """See which there are; those that come later are not served."""
        self._paths = {
            str(path.relative_to(folder)): path
            for path in sorted(files_of(folder))
            if path.suffix in _KINDS
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._paths)

    def answer(self, name: str) -> Answer:
        """Answer who asks for a file; no name is the page itself."""
        path = self._paths.get(name or "index.html")
        if path is None:
            return not_found()
        kind = (b"content-type", _KINDS[path.suffix])
        return Answer(200, path.read_bytes(), (kind, *GUARDS))
