"""Write what a release is made of: a bill of materials in CycloneDX 1.5, as JSON.

    python -m deploy.sbom --into dist/roost-0.2.0.cdx.json

It has Roost and every distribution that `requirements-deploy.lock` pins, with licences and what
needs what, as they say themselves where they are installed here.  The same lock file gives the
same bytes.
"""

import argparse
import json
import sys
import uuid
from importlib.metadata import Distribution, distribution, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from deploy.pins import Licence, NotHere, installed, licence_of, pinned, plain

EXTRAS = ("", "dns", "plot", "prometheus", "s3", "series", "terminal")


def reference(name: str, release: str) -> str:
    """What a component is called: a package URL."""
    return f"pkg:pypi/{plain(name)}@{release}"


def needs(held: Distribution, extras: tuple[str, ...]) -> set[str]:
    """Names of those that a distribution needs here."""
    found = set()
    for text in held.requires or ():
        it = Requirement(text)
        if it.marker is None or any(it.marker.evaluate({"extra": extra}) for extra in extras):
            found.add(plain(it.name))
    return found


def licence_row(it: Licence) -> dict[str, Any]:
    """A licence as CycloneDX has it."""
    return {"expression": it.text} if it.is_expression else {"license": {"name": it.text}}


def bill() -> dict[str, Any]:
    """All of it.

    Raises:
        NotHere: something that is pinned is not installed, or in another version.

    """
    release, pins = version("roost"), pinned()
    own = reference("roost", release)
    components, depends = [], {own: needs(distribution("roost"), EXTRAS)}
    for held in installed(pins):
        name = plain(held.name)
        ref = reference(name, held.version)
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": ref,
            "name": name,
            "version": held.version,
            "purl": ref,
        }
        if said := licence_of(held):
            component["licenses"] = [licence_row(said)]
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
    except NotHere as error:
        sys.exit(f"sbom: {error}: run `make sbom`")
    if given.into is None:
        sys.stdout.write(whole)
        return
    given.into.parent.mkdir(parents=True, exist_ok=True)
    given.into.write_text(whole)
    print(given.into)


if __name__ == "__main__":
    main()
