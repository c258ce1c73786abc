"""What a member is made of: which of the two trees it runs, on which Python, with which packages.

Versions are read from the folders of what is installed, which takes a few milliseconds: whoever
asks does that in a thread.
"""

import platform
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

import msgspec

from roost.compiled import description

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One that Roost needs, or that an extra brings; `version` is empty where it is not here."""

    name: str
    version: str
    is_optional: bool


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """Versions, and `tree`: how many modules are compiled, or that none is."""

    version: str
    tree: str
    python: str
    system: str
    packages: Sequence[Package]


def read_built() -> Built:
    """What this process runs."""
    return Built(
        version=version("roost"),
        tree=description(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages=packages_of(requires("roost") or ()),
    )


def packages_of(requirements: Iterable[str]) -> Sequence[Package]:
    """What is wanted, by name: as in pyproject.toml, an extra's is only an offer."""
    optional: dict[str, bool] = {}
    for text in requirements:
        matched = _NAME.match(text)
        assert matched is not None, "a requirement begins with a name"
        is_offer = "extra ==" in text.partition(";")[2]
        optional[matched[0]] = optional.get(matched[0], True) and is_offer
    return [
        Package(name=name, version=_version_of(name), is_optional=optional[name])
        for name in sorted(optional)
    ]


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
