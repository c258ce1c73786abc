"""What is below a directory, in steps of a bounded cost."""

from roost.etcd.model.costs import SLICE_ROWS
from roost.etcd.v2 import listing, nodes
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.face import Face, json_of


def test_children_are_shown_in_order_and_theirs_when_asked_for() -> None:
    async def story() -> None:
        with Face() as face:
            for key in ("/b/2", "/b/1", "/a", "/b/_hidden", "/_h/x", "/c/d/e", "/b-"):
                await face.ask("PUT", key, value=key)
            await face.ask("PUT", "/empty", dir="true")
            shown = json_of(await face.ask("GET", "/"))["node"]
            assert [it["key"] for it in shown["nodes"]] == ["/a", "/b", "/b-", "/c", "/empty"]
            assert not any("nodes" in it for it in shown["nodes"])
            assert await face.tree() == {
                "a": "/a",
                "b": {"1": "/b/1", "2": "/b/2"},
                "b-": "/b-",
                "c": {"d": {"e": "/c/d/e"}},
                "empty": {},
            }
            assert await face.tree("/b/_hidden") == "/b/_hidden"
            assert await face.tree("/_h") == {"x": "/_h/x"}

    run_virtually(story())


def test_a_large_directory_is_read_in_steps() -> None:
    async def story() -> None:
        with Face() as face:
            for number in range(600):
                await face.ask("PUT", f"/d/{number}", value="v")
            replica, parts = face.replica, list[bytes]()
            trees = nodes.trees_of(replica.store)
            costs = list(
                listing.listed(
                    trees,
                    replica.view,
                    b"/",
                    nodes.ROOT_NODE,
                    parts.append,
                    recursive=True,
                    now_ns=0,
                )
            )
            assert max(costs) <= SLICE_ROWS + 2
            assert sum(costs) >= 600
            assert b"".join(parts).count(b'"value"') == 600

    run_virtually(story())


def test_large_values_make_small_steps() -> None:
    async def story() -> None:
        with Face() as face:
            for number in range(8):
                await face.ask("PUT", f"/d/{number}", value="v" * listing.STEP_BYTES)
            trees = nodes.trees_of(face.replica.store)
            sizes, size = [], 0

            def write(part: bytes) -> None:
                nonlocal size
                size += len(part)

            node = nodes.get(trees, face.replica.view, b"/d")
            assert node is not None
            steps = listing.listed(
                trees, face.replica.view, b"/d", node, write, recursive=False, now_ns=0
            )
            for _ in steps:
                sizes.append(size)
                size = 0
            assert max(sizes) < 2 * listing.STEP_BYTES
            assert len(sizes) >= 8

    run_virtually(story())


def test_a_long_value_is_written_in_steps() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/d/a", value="\x01" * 100_000)
            trees, view = nodes.trees_of(face.replica.store), face.replica.view
            for path in (b"/d", b"/d/a"):
                parts, node = list[bytes](), nodes.find(trees, view, path, 1)
                costs = list(
                    listing.listed(trees, view, path, node, parts.append, recursive=True, now_ns=0)
                )
                assert len(costs) > 10
                assert max(costs) <= listing.PIECE_COST
                assert b"".join(parts).count(b"u0001") == 100_000

    run_virtually(story())
