"""What packages and containers have in them: the lock file's pins, as they are installed here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements-deploy.lock"


class NotHere(Exception):
    """What is pinned is not installed, or in another version; the text says so."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What a distribution says of its licence: an SPDX expression, or words of its own."""

    text: str
    is_expression: bool


def plain(name: str) -> str:
    """A distribution's name as lock files and package URLs have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Versions by plain names."""
    found = re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE)
    return {plain(name): version for name, version in found}


def installed(pins: dict[str, str]) -> Iterator[Distribution]:
    """Each distribution that is pinned, in the order of names.

    Raises:
        NotHere: one is not installed, or in another version.

    """
    for name, version in sorted(pins.items()):
        try:
            found = distribution(name)
        except PackageNotFoundError as error:
            raise NotHere(f"{name} is not installed here") from error
        if found.version != version:
            raise NotHere(f"{name} is {found.version} here, and {version} in {LOCK.name}")
        yield found


def licence_of(held: Distribution) -> Licence | None:
    """The licence that a distribution names; None when only its folder has a text."""
    if said := held.metadata["License-Expression"]:
        return Licence(said, is_expression=True)
    said = (held.metadata["License"] or "").strip()
    words = [it.removeprefix("License :: ") for it in held.metadata.get_all("Classifier") or ()
             if it.startswith("License :: ")]  # fmt: skip
    text = said.splitlines()[0] if said else ", ".join(words)
    return Licence(text, is_expression=False) if text else None
