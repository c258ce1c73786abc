"""A transport of one's own: the page, the example on ZeroMQ, and a database that takes one."""

import asyncio
import importlib.util
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import pytest

import roost
import roost.aio
from roost.peer import Connection, Listener, OsNetwork
from roost.peer.local import Address
from roost.sim import conformance
from roost.sim.conformance import Ways
from roost.testing.ports import free_ports

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "own-transport.md"
EXAMPLE = ROOT / "examples" / "own_transport.py"
NO_ZMQ = "pyzmq is not installed: `pip install pyzmq` has these tests run"


def example() -> ModuleType:
    pytest.importorskip("zmq", reason=NO_ZMQ)
    spec = importlib.util.spec_from_file_location("own_transport", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Counting(OsNetwork):
    """The operating system's, which counts who uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: list[Address] = []
        self.dialled: list[Address] = []

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> Listener:
        self.listened.append(address)
        return await super().listen(address, on_come)

    async def connect(self, address: Address) -> tuple[Connection, str]:
        self.dialled.append(address)
        return await super().connect(address)


@pytest.mark.slow
def test_members_talk_over_the_network_that_they_are_given() -> None:
    async def main() -> None:
        ports = free_ports(2)
        members = {f"m{it}": f"127.0.0.1:{port}" for it, port in enumerate(ports)}
        networks = [Counting(), Counting()]
        one, two = await asyncio.gather(
            *(
                roost.aio.open(None, name=name, members=members, network=network)
                for name, network in zip(members, networks, strict=True)
            )
        )
        await one.tree("t").put(b"a", b"1")
        assert await two.tree("t").get(b"a") == b"1"
        for network, port, other in zip(networks, ports, reversed(ports), strict=True):
            # A doorbell answers there until the member runs.
            assert {*network.listened} == {("127.0.0.1", port)}
            assert {*network.dialled} == {("127.0.0.1", other)}
        await asyncio.gather(one.close(), two.close())

    asyncio.run(main())


@pytest.mark.slow
def test_the_blocking_face_takes_one_too() -> None:
    network = Counting()
    (port,) = free_ports(1)
    members = {"m0": f"127.0.0.1:{port}"}
    with roost.open(None, name="m0", members=members, network=network):
        assert {*network.listened} == {("127.0.0.1", port)}


@pytest.mark.slow
def test_the_page_runs_the_suite(tmp_path: Path) -> None:
    script = tmp_path / "test_page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "none.ini"]
    (tmp_path / "none.ini").write_text("")
    done = subprocess.run(
        [*command, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f"{len(conformance.NETWORK)} passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("check", conformance.NETWORK, ids=lambda it: str(it.__name__))
def test_zeromq_is_a_network(check: Callable[[Ways], Awaitable[None]]) -> None:
    network = example().ZmqNetwork
    here, there, nowhere = (("127.0.0.1", port) for port in free_ports(3))

    async def main() -> None:
        await check(Ways(network(), network(), here, there, nowhere))

    asyncio.run(main())


@pytest.mark.slow
def test_members_on_zeromq_are_a_cluster() -> None:
    example()
    ports = [str(it) for it in free_ports(3)]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *ports], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "m0 hello\nm1 hello\nm2 hello\n"), done.stderr


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 150
