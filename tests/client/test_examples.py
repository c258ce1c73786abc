"""The examples that use the client do what they say, while processes end."""

import asyncio
import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from roost import Client
from roost.client import ClientError
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.client.virtual import VirtualCluster, run_cluster

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES_MAX = 150


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["job_queue", "page_views", "service_registry"])
def test_an_example_fits_on_two_screens(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < LINES_MAX


@pytest.mark.slow
@pytest.mark.cluster
def test_each_job_is_finished_once_also_when_its_worker_dies(tmp_path: Path) -> None:
    module = load("job_queue")
    script = EXAMPLES / "job_queue.py"
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        for number in range(6):
            done = subprocess.run(
                [sys.executable, str(script), endpoint, "add", f"job {number}"], check=True
            )
            assert done.returncode == 0
        with Client(endpoint) as client:
            queue = module.Queue(client, "images")
            # A worker takes the first job, and dies: its lease is revoked, as if it had run out.
            dead = client.leases.grant(60)
            job = queue.take(dead.lease_id)
            assert job.text == "job 0"
            counts: list[int] = []

            def work() -> None:
                with Client(endpoint) as other:
                    theirs = module.Queue(other, "images")
                    counts.append(module.work(other, theirs, str.upper, jobs=3))

            workers = [threading.Thread(target=work) for _ in range(2)]
            for it in workers:
                it.start()
            wait_until(lambda: len(queue.results()) == 5)
            client.leases.revoke(dead.lease_id)
            for it in workers:
                it.join(60)
            assert counts == [3, 3]
            assert queue.results() == [f"JOB {number}" for number in range(6)]
            assert not queue.finish(job, "too late")
            assert queue.take(dead.lease_id) is None


def test_who_is_there_is_known_whatever_happens_to_members(tmp_path: Path) -> None:
    module = load("service_registry")

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            registry = module.Registry(client, "web")
            following = asyncio.ensure_future(registry.follow())
            async with module.registered(client, "web", "10.0.0.1:80"):
                async with module.registered(client, "web", "10.0.0.2:80"):
                    await registry.until({"10.0.0.1:80", "10.0.0.2:80"})
                    leader = await cluster.leader()
                    cluster.kill(leader)
                    await cluster.leader()
                assert await registry.pick() == "10.0.0.1:80" or len(registry.addresses) == 2
                await registry.until({"10.0.0.1:80"})
                await cluster.start(leader)
            await registry.until(set())
            following.cancel()

    run_cluster(tmp_path, story)


@pytest.mark.slow
@pytest.mark.cluster
def test_page_views_are_counted_while_members_are_gone(tmp_path: Path) -> None:
    module = load("page_views")

    def visit(application: Any, path: str) -> str:
        return b"".join(application({"PATH_INFO": path}, lambda *_: None)).decode()

    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        with Client(cluster.endpoints) as client:
            later = client.counters.later()
            application = module.Application(client, later)
            for _ in range(10):
                visit(application, "/home")
            later.flush()
            # All have heard of it; then two of three are gone, and nobody leads.
            name = module.name_of("/home")
            for endpoint in cluster.endpoints:
                with client.at(endpoint) as one:
                    wait_until(lambda it=one: it.counters.read(name)[name] == 10)  # type: ignore[misc]  # bound at once
            cluster.kill(0, 1)
            # Once the third has answered, the client has seen that the others are gone: what it
            # sends to one that has just died it would have to call lost.
            wait_until(lambda: _reads(client, name) == 10)
            for _ in range(5):
                visit(application, "/home")
            visit(application, "/about\n" + "x" * 500)
            later.flush()
            assert later.end() == {}
            assert "15 /home" in visit(application, "/")
            cluster.start(0)
            cluster.start(1)
            for endpoint in cluster.endpoints:
                with client.at(endpoint) as one:
                    wait_until(lambda it=one: _reads(it, name) == 15)  # type: ignore[misc]  # likewise


def _reads(client: Client, name: str) -> int | None:
    try:
        return client.counters.read(name)[name]
    except ClientError:
        return None
