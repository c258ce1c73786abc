"""What a member is made of is told as it is installed."""

import platform
from importlib.metadata import version

from roost.compiled import description
from roost.dashboard.built import Package, packages_of, read_built


def test_versions_are_those_of_what_is_installed() -> None:
    built = read_built()
    assert (built.version, built.tree) == (version("roost"), description())
    assert platform.python_version() in built.python
    found = {it.name: it for it in built.packages}
    assert found["msgspec"] == Package(
        name="msgspec", version=version("msgspec"), is_optional=False
    )
    assert found["numpy"].is_optional


def test_what_is_wanted_always_is_no_offer_and_what_is_not_here_has_no_version() -> None:
    wanted = [
        'nobody-has-this>=1; extra == "series"',
        "msgspec<1,>=0.19",
        'msgspec<1; extra == "test"',
        "uvloop<1,>=0.21; sys_platform != 'win32'",
    ]
    found = packages_of(wanted)
    assert [(it.name, bool(it.version), it.is_optional) for it in found] == [
        ("msgspec", True, False),
        ("nobody-has-this", False, True),
        ("uvloop", True, False),
    ]
