"""Write what a release is made of: a bill of materials in CycloneDX 1.5, as JSON.

    python deploy/sbom.py --into dist/roost-0.1.0.cdx.json

It has Roost and every distribution that `requirements-deploy.lock` pins, with licences and what
needs what, as they say themselves where they are installed here.  The same lock file gives the
same bytes.
"""

import argparse
import json
import re
import sys
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements-deploy.lock"
EXTRAS = ("", "dns", "plot", "prometheus", "series", "terminal")


class CannotTell(Exception):
    """Something that is pinned is not here; the text says what to do."""


def plain(name: str) -> str:
    """A distribution's name as lock files and package URLs have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reference(name: str, release: str) -> str:
    """What a component is called: a package URL."""
    return f"pkg:pypi/{plain(name)}@{release}"


def pinned() -> dict[str, str]:
    """Names and versions that the lock file pins."""
    found = re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE)
    return {plain(name): release for name, release in found}


def needs(held: Distribution, extras: tuple[str, ...]) -> set[str]:
    """Names of those that a distribution needs here."""
    found = set()
    for text in held.requires or ():
        it = Requirement(text)
        if it.marker is None or any(it.marker.evaluate({"extra": extra}) for extra in extras):
            found.add(plain(it.name))
    return found


def licences(held: Distribution) -> list[dict[str, Any]]:
    """Its licence, as an SPDX expression where it says one, else in its own words."""
    if said := held.metadata["License-Expression"]:
        return [{"expression": said}]
    said = (held.metadata["License"] or "").strip()
    words = [it.removeprefix("License :: ") for it in held.metadata.get_all("Classifier") or ()
             if it.startswith("License :: ")]  # fmt: skip
    name = said.splitlines()[0] if said else ", ".join(words)
    return [{"license": {"name": name}}] if name else []


def bill() -> dict[str, Any]:
    """All of it.

    Raises:
        CannotTell: something that is pinned is not installed, or in another version.

    """
    release, pins = version("roost"), pinned()
    own = reference("roost", release)
    components, depends = [], {own: needs(distribution("roost"), EXTRAS)}
    for name, held_version in sorted(pins.items()):
        try:
            held = distribution(name)
        except PackageNotFoundError as error:
            raise CannotTell(f"{name} is not installed here: run `make sbom`") from error
        if held.version != held_version:
            text = f"{name} is {held.version} here, and {held_version} in {LOCK.name}"
            raise CannotTell(f"{text}: run `make sbom`")
        ref = reference(name, held_version)
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": ref,
            "name": name,
            "version": held_version,
            "purl": ref,
        }
        if said := licences(held):
            component["licenses"] = said
        components.append(component)
        # With extras of its own it would need more; what that is, is pinned by itself.
        depends[ref] = needs(held, ("",)) & pins.keys()
    graph = [
        {"ref": ref, "dependsOn": sorted(reference(it, pins[it]) for it in found)}
        for ref, found in depends.items()
    ]
    about = {
        "type": "application",
        "bom-ref": own,
        "name": "roost",
        "version": release,
        "purl": own,
    }
    about_roost = {**about, "licenses": [{"expression": "Apache-2.0"}]}
    content = {"components": components, "dependencies": graph}
    told = json.dumps([about_roost, content], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, told)}",
        "version": 1,
        "metadata": {"component": about_roost},
        **content,
    }


def text() -> str:
    """The file."""
    return json.dumps(bill(), indent=1) + "\n"


def main() -> None:
    """Write it, or say why not."""
    said = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    said.add_argument("--into", type=Path, help="the file; else standard output")
    given = said.parse_args()
    try:
        whole = text()
    except CannotTell as error:
        sys.exit(f"sbom: {error}")
    if given.into is None:
        sys.stdout.write(whole)
        return
    given.into.parent.mkdir(parents=True, exist_ok=True)
    given.into.write_text(whole)
    print(given.into)


if __name__ == "__main__":
    main()
