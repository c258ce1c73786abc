"""Whoever comes too late to be a first member joins as a learner (`--discovery-fallback learner`).

It has itself added by a member that serves clients, whose URL the first members have written down,
and begins as any member that was added.  One that was added before, and comes again without data,
is known by its peer URLs.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from roost.cli.discovery.asking import CannotDiscover, Members, Patience, SaidNo, Unanswered
from roost.settings import Settings

logger = logging.getLogger(__name__)
_BY_HAND = "have this member added to the cluster: roost member add"
# etcd's words for: some member is not started, or not caught up; the next try may find it so.
_NOT_YET = ("not enough started members", "unhealthy cluster")


def added_late(settings: Settings, members: Members, pause: Callable[[float], object]) -> Settings:
    """The settings of a member that has been added to a cluster that runs.

    Raises:
        CannotDiscover: the cluster does not take it.

    """
    try:
        rows = Patience(pause).surely(partial(_added, settings, members))
    except SaidNo as error:
        raise CannotDiscover(f"--discovery-fallback learner: {error}; {_BY_HAND}") from error
    own = settings.initial_advertise_peer_urls
    started = [(name, urls) for name, urls in rows if name and sorted(urls) != sorted(own)]
    others = [f"{name}={url}" for name, urls in started for url in urls]
    if not others:
        raise CannotDiscover(f"--discovery-fallback learner: nobody has started yet; {_BY_HAND}")
    cluster = [*others, *(f"{settings.name}={url}" for url in own)]
    logger.info("this member was added to the cluster that is there, as a learner")
    return replace(settings, initial_cluster=",".join(cluster), initial_cluster_state="existing")


def _added(settings: Settings, members: Members) -> list[tuple[str, list[str]]]:
    """All members, this one among them.

    Raises:
        Unanswered: nobody answers, or the cluster takes nobody now.
        SaidNo: it does not take this one.

    """
    own = sorted(settings.initial_advertise_peer_urls)
    try:
        rows = _read(members.call("/v3/cluster/member/list", {}))
        if not any(sorted(urls) == own for _, urls in rows):
            asked = {"peerURLs": own, "isLearner": True}
            rows = _read(members.call("/v3/cluster/member/add", dict(asked)))
    except SaidNo as error:
        if any(it in str(error) for it in _NOT_YET):
            raise Unanswered(str(error)) from error
        raise
    return rows


def _read(said: dict[str, Any]) -> list[tuple[str, list[str]]]:  # Any: what JSON can hold
    """Names and peer URLs.

    Raises:
        CannotDiscover: whoever answers is no member.

    """
    try:
        return [
            (str(it.get("name", "")), [str(url) for url in it["peerURLs"]])
            for it in said["members"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        text = "whoever answers at the members' client URLs is no member"
        raise CannotDiscover(f"--discovery-fallback learner: {text}; {_BY_HAND}") from error
