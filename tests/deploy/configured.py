"""What a member makes of variables that a container, a compose file or a manifest gives it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from roost.cli.preflight import misgivings
from roost.cli.settings import read_given, settings_of
from roost.member.settings import make_world, member_config
from roost.settings import Settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def configured(environment: Mapping[str, str], secret: Path, *, is_alone: bool = False) -> Settings:
    """The settings, of which a start would have nothing to say; `secret` is what members share.

    Of one that `is_alone` it says that clients elsewhere are told of a place of this machine.
    """
    given = read_given({}, environment)
    settings = settings_of(given)
    said = misgivings(given, settings)
    assert [it for it in said if not (is_alone and "--advertise-client-urls" in it)] == []
    member_config(settings)
    make_world(replace(settings, peer_secret_file=str(secret) if settings.peer_secret_file else ""))
    return settings


def port_of(url: str) -> int:
    """The port of a URL that has one."""
    found = re.search(r":(\d+)$", url)
    assert found is not None, url
    return int(found[1])
