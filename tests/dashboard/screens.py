"""`python -m tests.dashboard.screens DIRECTORY`: a picture of each room, light and dark.

A real cluster of three with something in it, in a real browser.
"""

import math
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from roost.client import Client
from roost.testing.cluster import Cluster
from tests.dashboard.browser import Browser, Page

# What is there when a room is whole.
ROOMS = {
    # With a stretch of time in its graphs.
    "cluster": "document.querySelectorAll('.legend li').length > 18 && performance.now() > 20_000",
    "keys": "text('#keys').includes('config/')",
    "leases": "text('#leases').includes('session')",
    "users": "text().includes('Who may read this key?')",
    "series": "text('#points').includes('What is drawn of')",
    "counters": "text('#counters').includes('pages/home')",
    "storage": "['$members', 'm0-', 'm2'].every((it) => text('main').includes(it))",
    "member": "text('#figures').includes('etcd_')",
}


def _fill(cluster: Cluster) -> None:
    with Client(",".join(cluster.endpoints)) as client:
        for at in range(40):
            client.put(f"config/shop/{at}", f'{{"price": {at}}}')
        client.put("session", "ada", lease=client.leases.grant(600).lease_id)
        client.counters.increment("pages/home", 7)
    lines = "".join(f"heat,room=a v={20 + at % 7} {at * 60}\n" for at in range(1, 2000))
    request = urllib.request.Request(
        f"http://{cluster.endpoints[0]}/write?precision=s", data=lines.encode(), method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()
    asked = f"http://{cluster.endpoints[0]}/dashboard/backups"
    said = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(asked, data=b"{}", headers=said)) as answer:
        answer.read()


@contextmanager
def _used(cluster: Cluster) -> Iterator[None]:
    """Somebody puts, reads and watches, now more and now less."""
    is_over = threading.Event()
    endpoints = ",".join(cluster.endpoints)

    def use() -> None:
        with Client(endpoints) as client:
            for at in count():
                client.put(f"shelf/{at % 50}", "x" * 200)
                client.get(f"shelf/{at % 7}")
                if is_over.wait(0.012 + 0.01 * math.sin(at / 120)):
                    client.put("shelf/last", "x")
                    return

    def watch() -> None:
        with Client(endpoints) as client:
            for it in client.watch("shelf/", prefix=True):
                if it.item.key == b"shelf/last":
                    return

    threads = [threading.Thread(target=watch), threading.Thread(target=use)]
    for it in threads:
        it.start()
    try:
        yield
    finally:
        is_over.set()
        for it in threads:
            it.join()


def _take(page: Page, directory: Path, light: str) -> None:
    for name, is_whole in ROOMS.items():
        page.evaluate(f"location.hash = '#/{name}'")
        if name == "series":
            page.click("document.querySelector('#series input')")
        page.until(is_whole)
        (directory / f"{name}-{light}.png").write_bytes(page.screenshot())


def main(directory: Path) -> None:
    """Take them all."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as root,
        Cluster(Path(root), 3, extra_flags=[f"--backup-dir={root}/kept"]) as cluster,
    ):
        cluster.leader()
        _fill(cluster)
        with _used(cluster), Browser(Path(root) / "profile") as browser:
            for light in ("light", "dark"):
                url = f"http://{cluster.endpoints[0]}/dashboard/"
                with browser.open(url, is_dark=light == "dark") as page:
                    page.wait_text("live from")
                    _take(page, directory, light)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
