"""Members in network namespaces of their own, between which single directions can be cut.

Each has an address in a private network on a bridge; the test is on the bridge, too.  Needs root,
`ip` and `nsenter`; `namespace_reason` says what is missing.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Self

from roost.testing.cluster import ROOST, Cluster, Process

_CLIENT_PORT, _PEER_PORT = 2379, 2380


class Network:
    """A bridge and namespaces on it; use it as a context manager."""

    def __init__(self, size: int) -> None:
        """Nothing exists yet; names and addresses are made of this process's id."""
        self._tag = f"rt{os.getpid() % 100_000}"
        self._bridge = f"{self._tag}b"
        self._net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.names = [f"{self._tag}n{it}" for it in range(size)]

    def address(self, position: int) -> str:
        """The address of a member."""
        return f"{self._net}.{position + 2}"

    def __enter__(self) -> Self:
        """Make the bridge and the namespaces."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self._net}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for position, name in enumerate(self.names):
            near, far = f"{self._tag}v{position}", f"{self._tag}w{position}"
            _ip("netns", "add", name)
            _ip("link", "add", near, "type", "veth", "peer", "name", far)
            _ip("link", "set", far, "netns", name)
            _ip("link", "set", near, "master", self._bridge, "up")
            self._ip_inside(position, "addr", "add", f"{self.address(position)}/24", "dev", far)
            self._ip_inside(position, "link", "set", far, "up")
            self._ip_inside(position, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them; whatever runs in them must have ended."""
        for name in self.names:
            command = ("ip", "netns", "del", name)
            subprocess.run(command, check=False, capture_output=True)
        _ip("link", "del", self._bridge)

    def cut(self, sender: int, receiver: int) -> None:
        """Nothing gets from one member to the other any more; the way back stays open."""
        self._route("add", sender, receiver)

    def join(self, sender: int, receiver: int) -> None:
        """Open that way again."""
        self._route("del", sender, receiver)

    def _route(self, act: str, sender: int, receiver: int) -> None:
        target = f"{self.address(receiver)}/32"
        self._ip_inside(sender, "route", act, "blackhole", target)

    def inside(self, position: int) -> list[str]:
        """What a command begins with that is to run in a namespace.

        `ip netns exec` would take a copy of all mounts along, and whoever unmounted one of them
        outside meanwhile, a disk whose power was cut, could not have it anew.
        """
        return ["nsenter", f"--net=/run/netns/{self.names[position]}"]

    def _ip_inside(self, position: int, *arguments: str) -> None:
        _run(*self.inside(position), "ip", *arguments)


class NetworkCluster(Cluster):
    """Members of a `Network`."""

    def __init__(self, root: Path, network: Network) -> None:
        """Nothing runs before `start`."""
        super().__init__(root, len(network.names))
        self._network = network

    @property
    def endpoints(self) -> list[str]:
        """Client addresses, by position."""
        return [f"{self._network.address(it)}:{_CLIENT_PORT}" for it in range(self.size)]

    def flags(self, position: int) -> list[str]:
        """The command line of one member, without the program."""
        peers = [f"http://{self._network.address(it)}:{_PEER_PORT}" for it in range(self.size)]
        client = f"http://{self.endpoints[position]}"
        return [
            f"--name=m{position}",
            f"--data-dir={self.root / f'm{position}'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peers[position]}",
            f"--initial-advertise-peer-urls={peers[position]}",
            "--initial-cluster=" + ",".join(f"m{it}={url}" for it, url in enumerate(peers)),
        ]

    def start(self, position: int, *more_flags: str) -> Process:
        """Start one member in its namespace."""
        self._command = [*self._network.inside(position), *ROOST]
        return super().start(position, *more_flags)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@cache
def namespace_reason() -> str:
    """Why there can be no network namespaces here; empty when there can."""
    if os.geteuid():
        return "network namespaces need root"
    for tool in ("ip", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        with Network(1) as network:
            network.cut(0, 9)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces do not work: {error}"
    return ""
