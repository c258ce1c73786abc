"""The page in a real browser, on three real members: each room, a leader that is killed, attackers.

Where there is no browser these tests are skipped, and say so.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import roost
from roost.client import Client, ClientError, Credentials, Permission, Put
from roost.member import read_backup
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from tests.dashboard.browser import CHROMIUM, WHY_NOT, Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>&amp;'
ROOMS = ("cluster", "keys", "tree", "leases", "users", "series", "counters", "storage", "member")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kept = tmp_path_factory.mktemp("kept")
    flags = ["--enable-v2", f"--backup-dir={kept}"]
    with Cluster(tmp_path_factory.mktemp("members"), 3, extra_flags=flags) as started:
        started.leader()
        yield started


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(",".join(cluster.endpoints)) as one:
        yield one


@pytest.fixture
def page(cluster: Cluster, browser: Browser) -> Iterator[Page]:
    """On a member that does not lead; nothing may be wrong with it in the end."""
    follower = next(it for it in cluster.running if it != cluster.leader())
    with browser.open(f"http://{cluster.endpoints[follower]}/dashboard/") as opened:
        opened.wait_text("live from")
        yield opened
        assert opened.errors == []
        foreign = [it for it in opened.requested if cluster.endpoints[follower] not in it]
        assert [it for it in foreign if not it.startswith(("data:", "blob:", "about:"))] == []


def room(page: Page, name: str) -> None:
    page.evaluate(f"location.hash = '#/{name}'")
    page.until(f"document.querySelector('nav a[aria-current]')?.hash === '#/{name}'")


def test_the_cluster_is_shown_as_it_is(page: Page, client: Client) -> None:
    for it in client.members():
        page.wait_text(it.name, "#members")
    page.wait_text("3 of 3 voters are heard, 1 more may fail", "#summary")
    page.wait_text("None is raised")
    for _ in range(20):
        client.put(b"graphed", b"1")
    page.until(
        "[...document.querySelectorAll('roost-chart')].some((it) => /Puts.*: .*m\\d [1-9]/"
        ".test(it.getAttribute('aria-label')) || /Entries applied.* [1-9]/"
        ".test(it.getAttribute('aria-label')))"
    )
    page.until("document.querySelectorAll('#happenings li').length > 0")


def test_hostile_keys_and_values_are_text(page: Page, client: Client) -> None:
    key = HOSTILE.replace("/", "")
    client.put(f"{key}/{key}", HOSTILE)
    room(page, "keys")
    page.press("<img")
    page.until("text('.steps').includes('<img')")
    page.until("document.querySelector('#keys a').click() === undefined")
    page.wait_text(HOSTILE, "#value")
    page.press("Show it")
    page.wait_text("that is all", "#history")
    assert page.evaluate("document.title") == "Keys \u2013 Roost"
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    # And nobody could make it HTML by mistake: the browser refuses.
    refused = page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>'; } catch (it) { return it.name; } })()"
    )
    assert refused == "TypeError"
    # It says so in the console, too; we hear of that with the next answer.
    wait_until(lambda: page.evaluate("true") is True and bool(page.errors))
    assert all("TrustedHTML" in it for it in page.errors)
    page.errors.clear()


def test_a_key_is_created_watched_changed_and_deleted(page: Page, client: Client) -> None:
    room(page, "keys")
    page.press("Watch what changes here")
    page.wait_text("watching", "#watched")
    client.put("desk/a", '{"n": 1}')
    page.wait_text("put desk/a", "#watched")
    page.press("Create a key")
    page.enter("Key", "desk/b")
    page.enter("Value", "first")
    page.press("Create it")
    page.wait_text("first", "#value")
    page.press("Change it")
    page.enter("New value", "second")
    page.press("Write it, unless")
    page.wait_text("second", "#value")
    found = client.get("desk/b")
    assert found is not None
    assert (found.value, found.version) == (b"second", 2)
    page.press("Show it")
    page.wait_text("- first", "#history")
    # Somebody else is faster.
    page.press("Change it")
    client.put("desk/b", "theirs")
    page.enter("New value", "ours")
    page.press("Write it, unless")
    page.wait_text("it has changed since you looked at it", "#said")
    assert client.get("desk/b").value == b"theirs"  # type: ignore[union-attr]  # it is there
    page.evaluate("location.hash = '#/keys/in/desk%2F'")
    page.wait_text("a\nb", "#keys")
    page.press("Delete all of these")
    page.wait_text("2 keys will be gone", "dialog")
    page.enter("Type 2", "2")
    page.press("Delete them")
    page.wait_text("2 keys were deleted", "#said")
    assert client.get("desk/a") is None


def test_many_keys_of_a_folder_are_one_row_and_cost_one_jump(page: Page, client: Client) -> None:
    for at in range(0, 300, 100):
        client.txn(then=[Put(f"many/{it:04}", b"x") for it in range(at, at + 100)])
    client.put("much", b"x")
    room(page, "keys")
    page.until("[...document.querySelectorAll('#keys li')].some((it) => it.innerText === 'much')")
    rows = page.evaluate("[...document.querySelectorAll('#keys li')].map((it) => it.innerText)")
    assert rows.count("many/ …") == 1
    page.press("many/ …")
    page.wait_text("0099", "#keys")
    page.press("More")
    page.wait_text("0199", "#keys")
    page.press("More")
    page.wait_text("0299", "#keys")
    client.delete("many/", prefix=True)


def test_a_value_of_the_v2_tree_is_created_changed_and_deleted(page: Page) -> None:
    room(page, "tree")
    page.press("Create a value")
    page.enter("Name", "room")
    page.enter("Value", "first")
    page.enter("Gone after", "300")
    page.press("Create it")
    page.until("/[45] min.* left/.test(text('#tree'))")
    page.press("room")
    page.enter("Value", "second")
    page.press("Write it, unless")
    page.wait_text("it was written", "#said")
    page.press("Delete it")
    page.wait_text("Its value will be gone", "dialog")
    page.evaluate("named('dialog button', 'Delete it').click()")
    page.until("document.querySelector('#tree') && !text('#tree').includes('room')")


def test_a_key_with_a_lease_is_created_and_one_key_deleted(page: Page, client: Client) -> None:
    room(page, "keys")
    page.press("Create a key")
    page.enter("Key", "desk/gone")
    page.enter("Value", "soon")
    page.enter("Gone after", "300")
    page.press("Create it")
    page.wait_text("soon", "#value")
    found = client.get("desk/gone")
    assert found is not None
    assert found.lease
    page.press("Delete it")
    page.wait_text("Its value of 4 B will be gone", "dialog")
    agree(page, "Delete it")
    wait_until(lambda: client.get("desk/gone") is None)
    client.leases.revoke(found.lease)


def test_leases_and_lines_are_shown_and_a_lease_revoked(page: Page, client: Client) -> None:
    lease = client.leases.grant(300).lease_id
    client.put("leased", b"x", lease=lease)
    with client.lock("desk-lock"):
        room(page, "leases")
        page.wait_text("leased", "#leases")
        page.enter("Name of a lock", "desk-lock")
        page.press("Look")
        page.wait_text("holds it", "#queue")
        page.evaluate(
            "[...document.querySelectorAll('#leases tr')].find((it) => it.innerText.includes("
            "'leased')).querySelector('button').click()"
        )
        page.wait_text("1 keys will be deleted with it: leased", "dialog")
        page.press("Revoke it")
        wait_until(lambda: client.get("leased") is None)


def test_counters_are_counted_and_taken_apart(page: Page) -> None:
    room(page, "counters")
    page.enter("Count", "desk/visits")
    page.enter("by", "5")
    page.evaluate("named('form button', 'Count').click()")
    page.wait_text("What each member has counted of desk/visits", "#parts")
    page.press("Add 1 to desk/visits")
    page.until("/desk.visits\\s+6/.test(text('#counters'))")
    page.wait_text("Backlog", "#links")


def test_series_are_drawn_with_their_band(page: Page) -> None:
    lines = "".join(f"heat,room=a v={at % 7} {at * 60}\n" for at in range(1, 2000))
    page.evaluate(
        f"fetch('/write?precision=s', {{method: 'POST', body: {json.dumps(lines)}}})"
        ".then((it) => it.status)"
    )
    room(page, "series")
    page.wait_text("heat.v{room=a}", "#series")
    page.evaluate("document.querySelector('#series input').click()")
    page.wait_text("What is drawn of heat.v{room=a}", "#points")
    page.until("document.querySelector('#graph').getAttribute('aria-label').includes('heat.v')")
    inked = (
        "(() => { const it = document.querySelector('#graph canvas');"
        "const ink = it.getContext('2d').getImageData(0, 0, it.width, it.height).data;"
        "return ink.some((byte) => byte); })()"
    )
    page.until(inked)
    page.enter("Tag of heat.v", "floor:1")
    page.press("Add the tag")
    page.wait_text("floor:1", "#series")
    # A stretch that is marked is asked for alone.
    page.wait_text("All there is.", "#stretch")
    page.requested.clear()
    page.drag("#graph canvas", 0.25, 0.5)
    page.wait_text("From 1970-01-01", "#stretch")
    page.wait_text(" --agg mean,min,max --start 1970-01-01T")
    zoomed = next(it for it in page.requested if "/series/query?" in it)
    asked = parse_qs(urlsplit(zoomed).query)
    begin, end = (datetime.fromisoformat(asked[it][0]).timestamp() for it in ("start", "end"))
    assert 0 < begin < end < 2000 * 60
    assert (end - begin) / (2000 * 60) < 0.4
    page.press("All there is")
    page.wait_text("All there is.", "#stretch")
    page.enter("Window", "none")
    page.wait_text("value", "#points")
    page.enter("Tag of heat.v", "floor:1")
    page.press("Take the tag away")
    page.until("!text('#series').includes('floor:1')")


def test_ten_thousand_series_are_asked_for_and_drawn_a_page_at_a_time(
    page: Page,
) -> None:
    written = (
        "fetch('/write?precision=s', {method: 'POST', body: Array.from({length: 10000},"
        " (_, it) => `many,n=${it} v=1 60`).join('\\n')}).then((it) => it.status)"
    )
    assert page.evaluate(written) == 204
    room(page, "series")
    page.enter("Names that begin with", "many")
    page.requested.clear()
    page.press("Look")
    page.until("document.querySelectorAll('#series tbody tr').length === 200")
    page.press("More")
    page.until("document.querySelectorAll('#series tbody tr').length === 400")
    asked = [it for it in page.requested if "/series?" in it]
    assert len(asked) == 2
    assert all("limit=200" in it for it in asked)
    page.enter("Tag", "n:77")
    page.press("Look")
    page.until("document.querySelectorAll('#series tbody tr').length === 1")
    page.wait_text("many.v{n=77}", "#series")


def test_a_key_that_is_longer_than_an_address_can_be_holds_no_rows_up(
    page: Page, client: Client
) -> None:
    """What followed it could not be asked for: it stood in the address, twice as long."""
    long = "zzz/" + 100_000 * "k"
    for it in (long, long + "l", "zzzz"):
        client.put(it, "x")
    try:
        room(page, "storage")
        page.press("Rows of $etcd.kv")
        page.until("text('#rows').includes('That is all') || (press('More of $etcd.kv'), false)")
        page.wait_text("zzzz", "#rows")
    finally:
        client.delete("zzz", prefix=True)


def test_trees_are_listed_read_and_counted(page: Page, client: Client) -> None:
    key = HOSTILE.replace("/", "")
    client.put(f"trees/{key}", HOSTILE)
    room(page, "storage")
    page.wait_text("$etcd.kv", "#trees")
    page.wait_text("Roost's own", "#trees")
    page.until("/Digest of what is durable\\s+[0-9a-f]{32}/.test(text('#state'))")
    page.press("Rows of $etcd.kv")
    page.wait_text("Rows of $etcd.kv", "#rows")
    page.until("text('#rows').includes('That is all') || (press('More of $etcd.kv'), false)")
    page.wait_text("trees/<img", "#rows")
    page.press("Count keys and bytes")
    page.wait_text("Counted in the file")
    page.until("/\\$members.*\\s3\\s/.test(text('#trees'))")
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0


def test_a_backup_is_saved_verified_and_fetched(page: Page, tmp_path: Path) -> None:
    page.download_to(tmp_path)
    room(page, "storage")
    page.wait_text("There are none yet.", "#backups")
    page.press("Save one now")
    page.wait_text("bytes were saved", "#backup-work")
    page.until("document.querySelector('#backups td code') !== null")
    name = page.evaluate("document.querySelector('#backups td code').innerText")
    page.press(f"Verify {name}")
    page.wait_text("it is as it was saved: everything up to entry", "#backup-work")
    for button, file in ((f"Fetch {name}", name), ("Fetch one of now", "roost-backup.db")):
        page.press(button)
        page.wait_text(f"{file}: ", "#backup-work")
        wait_until((tmp_path / file).exists, 30)
        assert read_backup(tmp_path / file).is_full


def test_the_log_is_shown_and_says_more_when_it_is_told_to(page: Page) -> None:
    room(page, "member")
    page.wait_text("Every room says what --log-level lets through.")
    page.enter("Room of the log", "roost.member")
    page.enter("Says", "debug")
    page.press("Have it say so")
    page.wait_text("Changed: roost.member: debug")
    page.enter("Says", "as the room above")
    page.press("Have it say so")
    page.wait_text("Every room says what --log-level lets through.")
    page.wait_text("roost.", "#log")
    asked = "fetch('/dashboard/log').then((it) => it.json()).then((it) => it.lines.length)"
    shown = page.evaluate("document.querySelectorAll('#log li').length")
    assert 0 < shown <= page.evaluate(asked), "each line once"
    page.press("Show settings")
    page.wait_text("--enable-v2", "#settings")
    page.press("Show endpoints")
    page.wait_text("Time series", "#endpoints")


def pretend(page: Page, name: str, path: str, field: str, value: object) -> None:
    """What is over in a moment here is as where it takes long, in a room of a new page."""
    source = (
        "(() => { const ask = window.fetch; window.fetch = async (url, options) => {"
        "const answer = await ask(url, options);"
        f"if (!new URL(url, location).pathname.endsWith({json.dumps(path)})) return answer;"
        "const said = await answer.json();"
        f"return Response.json({{ ...said, {field}: {json.dumps(value)} }}); }}; }})()"
    )
    page.command("Page.addScriptToEvaluateOnNewDocument", source=source)
    page.go(f"{page.url}?")
    room(page, name)


def agree(page: Page, verb: str) -> None:
    """Answer what is asked before something is changed."""
    page.until(f"named('dialog button', {json.dumps(verb)}).click() === undefined")


def test_a_member_is_added_replaced_and_removed(page: Page, client: Client) -> None:
    """One that is never started, so that the others lose nothing."""
    page.press("Add a member")
    page.enter("Name of the new member", "m8")
    page.enter("Peer URL", "http://127.0.0.1:1")
    page.enter("Without a vote", False)
    page.evaluate("named('form button', 'Add a member').click()")
    page.wait_text("--initial-cluster-state existing")
    rows = "[...document.querySelectorAll('#members tr')]"
    row = f"{rows}.find((it) => it.innerText.includes('never started'))"
    press = f"[...{row}.querySelectorAll('button')].find((it) => it.innerText === '%s').click()"
    page.until(f"{press % 'Replace'} === undefined")
    page.enter("Name of the new member", "m9")
    page.enter("Its peer URL", "http://127.0.0.1:7")
    agree(page, "Replace it")
    page.wait_text("--name m9 --listen-peer-urls http://127.0.0.1:7 ")
    urls = [it.peer_urls for it in client.members()]
    assert ("http://127.0.0.1:7",) in [tuple(it) for it in urls]
    assert ("http://127.0.0.1:1",) not in [tuple(it) for it in urls]
    spans = "[...document.querySelectorAll('#members span[title]')]"
    page.until(f"{spans}.some((it) => it.title.endsWith(' http://127.0.0.1:7'))")
    page.until(f"{press % 'Remove'} === undefined")
    page.wait_text("3 members remain", "dialog")
    agree(page, "Remove it")
    wait_until(lambda: len(client.members()) == 3)


def test_an_alarm_is_disarmed(page: Page) -> None:
    raised = json.dumps({"action": "ACTIVATE", "memberID": "171", "alarm": "NOSPACE"})
    asked = f"fetch('/v3/maintenance/alarm', {{method: 'POST', body: {raised!r}}})"
    assert page.evaluate(f"{asked}.then((it) => it.status)") == 200
    page.press("Disarm")
    page.wait_text("Look first whether what raised it is over", "dialog")
    agree(page, "Disarm")
    page.wait_text("None is raised")


def test_users_and_roles_are_made_given_and_taken_away(page: Page, client: Client) -> None:
    room(page, "users")
    page.press("Add a user, or give one a role")
    page.enter("Name", "ada")
    page.enter("Password", "secret")
    page.press("Add him")
    page.wait_text("ada", "#users")
    page.press("Add a role, or let one do more")
    page.enter("Name", "reader")
    page.press("Add it")
    page.wait_text("reader", "#roles")
    page.press("Add a role, or let one do more")
    page.enter("Role", "reader")
    page.enter("May", "READ")
    key = "[...document.querySelectorAll('#roles label')].find((it) => it.innerText === 'Key')"
    page.evaluate(f"{key}.querySelector('input').value = 'config/'")
    page.enter("All that begin so", True)
    page.press("Let it")
    page.wait_text("read config/…", "#roles")
    page.press("Add a user, or give one a role")
    page.enter("User", "ada")
    page.enter("Role", "reader")
    page.press("Give him the role")
    page.wait_text("reader", "#users table")
    assert client.users.roles_of("ada") == ["reader"]
    page.enter("Key", "config/x")
    page.press("Look")
    page.wait_text("May read it: everybody: users are off", "#who-may")
    page.evaluate("document.querySelector('#users table button').click()")
    page.wait_text("He loses what it lets him do", "dialog")
    agree(page, "Take it away")
    wait_until(lambda: client.users.roles_of("ada") == [])
    client.users.delete_user("ada")
    client.users.delete_role("reader")


def test_series_are_given_as_csv_and_deleted(page: Page, tmp_path: Path) -> None:
    page.download_to(tmp_path)
    lines = json.dumps("".join(f"cold,room=b v={at} {at * 60}\n" for at in range(1, 200)))
    written = f"fetch('/write?precision=s', {{method: 'POST', body: {lines}}})"
    page.evaluate(f"{written}.then((it) => it.status)")
    room(page, "series")
    page.enter("Names that begin with", "cold")
    page.press("Look")
    page.until("text('#series').includes('cold.v') || (press('Look'), false)")
    page.evaluate("document.querySelector('#series input').click()")
    page.wait_text("What is drawn of cold.v{room=b}", "#points")
    page.enter("Line", "max")
    page.wait_text("max", "#points thead")
    page.enter("Time zone", "Europe/Prague")
    page.press("CSV of what is shown")
    wait_until((tmp_path / "series.csv").exists)
    assert "max" in (tmp_path / "series.csv").read_text()
    page.press("Delete what is shown")
    page.wait_text("199 points will be gone: all of its time", "dialog")
    agree(page, "Delete them")
    page.wait_text("they were deleted", "#said")
    page.wait_text("There are none.", "#series")


def test_a_counter_is_deleted_and_what_was_deleted_is_purged(page: Page) -> None:
    room(page, "counters")
    page.enter("Count", "desk/gone")
    page.evaluate("named('form button', 'Count').click()")
    page.wait_text("What each member has counted of desk/gone", "#parts")
    page.evaluate("named('#parts button', 'Delete it').click()")
    page.wait_text("Its value will be gone", "dialog")
    agree(page, "Delete it")
    page.until("!text('#counters').includes('desk/gone')")
    page.press("Purge what was deleted")
    page.wait_text("A purge removes that for good", "dialog")
    page.until("/up to its change [1-9].* would be removed/.test(text('dialog'))")
    agree(page, "Purge")
    page.wait_text("purged:", "#said")
    page.until("/up to its change [1-9]/.test(text('#said'))")
    pretend(
        page, "counters", "/counters/stats", "purging", {"done": 250, "total": 1000, "seconds": 5}
    )
    page.wait_text("250 counters of 1,000 counters, 50 counters/s, 15 s left")


def test_a_store_is_hashed_compacted_and_written_anew(
    cluster: Cluster, page: Page, client: Client
) -> None:
    here = next(it for it in cluster.running if cluster.endpoints[it] in page.url)
    revision = client.put("tools", "x")
    room(page, "storage")
    page.press("Hash its keys")
    page.wait_text("Keys of this member hash to", "#hashed")
    page.press("Forget history")
    page.wait_text("What keys were before revision", "dialog")
    agree(page, "Forget it")
    page.wait_text("is forgotten", "#said")
    with pytest.raises(ClientError, match="compacted"):
        client.get("tools", revision=revision - 1)
    # Who writes its store is held up, so that it takes long.
    keeper = cluster.keeper(here)
    os.kill(keeper, signal.SIGSTOP)
    try:
        page.press("Give back what is free")
        agree(page, "Do it")
        page.until("document.querySelector('#works progress') !== null")
        page.until("/Giving back what is free: writing .*, \\d+ %/.test(text('#works'))")
    finally:
        os.kill(keeper, signal.SIGCONT)
    page.wait_text("it was written anew", "#said")
    page.until("text('#works') === ''")
    removal = {"kind": "compaction", "phase": "removing", "share": 0.5, "done_count": 900}
    pretend(page, "storage", "/storage", "works", [removal | {"unit": "revisions", "seconds": 9}])
    page.wait_text("Forgetting history: removing, 900 revisions, 50 %, 100 revisions/s, 9 s left")


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_can_be_used_by_keyboard_and_read_aloud_and_on_a_phone(
    page: Page, name: str
) -> None:
    room(page, name)
    page.until("document.querySelectorAll('main .card').length > 0")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a, input, select, textarea, roost-chart")]
        .filter((it) => seen(it) && !(it.textContent || it.getAttribute("aria-label") ||
          it.closest("label")?.textContent || "").trim()).map((it) => it.outerHTML)"""
    )
    assert nameless == []
    unreachable = page.evaluate(
        "[...document.querySelectorAll('[tabindex]')].filter((it) => it.tabIndex > 0).length"
    )
    assert unreachable == 0, "focus goes in the order of the page"
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    page.resize(400)
    page.until("document.documentElement.clientWidth === 400")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_colours_can_be_told_from_their_ground_in_both_lights(
    cluster: Cluster, browser: Browser
) -> None:
    for is_dark in (False, True):
        url = f"http://{cluster.endpoints[0]}/dashboard/"
        with browser.open(url, is_dark=is_dark) as page:
            worst = page.evaluate(
                """(() => {
                  const style = getComputedStyle(document.documentElement);
                  const light = (name) => {
                    let said = style.getPropertyValue(name).trim().slice(1);
                    if (said.length === 3) said = [...said].map((it) => it + it).join("");
                    const [r, g, b] = [0, 2, 4]
                      .map((at) => parseInt(said.slice(at, at + 2), 16) / 255)
                      .map((it) => (it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                  };
                  const contrast = (one, other) => {
                    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
                    return (a + 0.05) / (b + 0.05);
                  };
                  const inks = ["--ink", "--quiet", "--accent", "--good", "--warn", "--bad"];
                  return Math.min(...inks.flatMap((it) =>
                    [contrast(it, "--page"), contrast(it, "--card")]));
                })()"""
            )
            assert worst >= 4.5, "WCAG 2.2, 1.4.3"


@contextmanager
def users_on(cluster: Cluster, client: Client) -> Iterator[None]:
    """Users are on; root's password is secret."""
    client.users.add_user("root", "secret")
    client.users.grant_role("root", "root")
    client.users.enable()
    try:
        yield
    finally:
        who = Credentials(user="root", password="secret")
        with Client(cluster.endpoints[0], credentials=who) as root:
            root.users.disable()
        client.users.delete_user("root")


def test_who_must_sign_in_is_asked_to_and_sees_the_rest_then(
    cluster: Cluster, browser: Browser, client: Client
) -> None:
    url = f"http://{cluster.endpoints[0]}/dashboard/"
    with users_on(cluster, client), browser.open(url) as page:
        page.wait_text("Users are on", "dialog")
        page.enter("User", "root")
        page.enter("Password", "secret")
        page.press("Sign in")
        page.wait_text("live from")
        room(page, "users")
        page.wait_text("Users are on: whoever asks has to sign in.")
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert stored == "[{},{}]"
        assert page.evaluate("document.cookie") == ""


def test_who_is_not_root_is_offered_what_he_may_and_told_what_he_may_not(
    cluster: Cluster, browser: Browser, client: Client
) -> None:
    client.put("config/shop", "open")
    client.users.add_user("ada", "hers")
    client.users.add_role("reader")
    client.users.grant_permission("reader", Permission("read", b"config/", b"config0"))
    client.users.grant_role("ada", "reader")
    url = f"http://{cluster.endpoints[0]}/dashboard/"
    with users_on(cluster, client), browser.open(url) as page:
        page.wait_text("Users are on", "dialog")
        page.enter("User", "ada")
        page.enter("Password", "wrong")
        page.press("Sign in")
        page.wait_text("authentication failed", "#said")
        page.enter("Password", "hers")
        page.press("Sign in")
        page.wait_text(", as ada", "#freshness")
        page.wait_text("3 of 3 voters are heard", "#summary")
        buttons = "[...document.querySelectorAll('main button, main summary')].length"
        assert page.evaluate(buttons) == 0, "members are root's to change"
        room(page, "keys")
        page.wait_text("The rest of this room is not for ada", "#denied")
        page.evaluate("location.hash = '#/keys/in/config%2F'")
        page.wait_text("shop", "#keys")
        page.press("shop")
        page.wait_text("open", "#value")
        page.press("Change it")
        page.enter("New value", "closed")
        page.press("Write it, unless")
        page.wait_text("ada may not do that", "#said")
        room(page, "users")
        page.wait_text("You are ada", "#own")
        page.wait_text("config/…", "#own")
        room(page, "storage")
        page.wait_text("are for root", "#state")
        page.wait_text("m1", "#stores")
        assert "Give back what is free" not in page.evaluate("text('main')")
        room(page, "member")
        page.wait_text("Log and settings of a member are for root.")
        page.wait_text("etcd_", "#figures")
        for name in ("counters", "series"):
            room(page, name)
            page.wait_text("ada", "#denied")
        # A browser says itself of each refusal that there was one.
        assert [it for it in page.errors if " 40" not in it] == []
    client.users.delete_user("ada")
    client.users.delete_role("reader")
    client.delete("config/shop")


def test_a_derived_tree_is_shown_while_it_is_built(browser: Browser, tmp_path: Path) -> None:
    is_slow = threading.Event()
    is_slow.set()

    @roost.derived("ix_pages_by_size", source="pages", version=1)
    def by_size(name: int, size: int) -> list[tuple[tuple[int, int], bytes]]:
        if is_slow.is_set():
            sum(range(20_000))
        return [((size, name), b"")]

    [port] = free_ports(1)
    with roost.open(tmp_path / "alone") as db:
        pages = db.tree("pages", key=int, value=int)
        pages.update({it: it % 7 for it in range(20_000)})
        db.serve(f"http://127.0.0.1:{port}")
        with browser.open(f"http://127.0.0.1:{port}/dashboard/#/storage") as page:
            page.wait_text("live from")
            sizes = db.derived(by_size)
            page.wait_text("ix_pages_by_size", "#state")
            page.until("/ix_pages_by_size\\s+pages\\s+1\\s+\\d+ %/.test(text('#state'))")
            assert page.evaluate("document.querySelector('#state progress') !== null")
            is_slow.clear()
            sizes.wait_built()
            page.until("/ix_pages_by_size\\s+pages\\s+1\\s+complete/.test(text('#state'))")
            assert page.errors == []


def test_a_learner_is_added_started_promoted_and_removed(
    cluster: Cluster, page: Page, client: Client
) -> None:
    """It counts, too: purges wait for it from then on, until it is retired."""
    position = cluster.grow()
    name = f"m{position}"
    page.press("Add a member")
    page.enter("Name of the new member", name)
    page.enter("Peer URL", cluster.peer_url(position))
    page.evaluate("named('form button', 'Add a member').click()")
    page.wait_text(f"--name {name} --listen-peer-urls {cluster.peer_url(position)} ")
    cluster.start(position)
    row = (
        "[...document.querySelectorAll('#members tr')].find((it) => it.innerText.startsWith"
        f"({name!r}))"
    )
    page.until(f"{row}.innerText.includes('learner')")
    page.wait_text("3 of 3 voters are heard", "#summary")
    press = f"[...{row}.querySelectorAll('button')].find((it) => it.innerText === '%s').click()"

    def promoted() -> bool:
        """It is refused as long as the learner has not everything."""
        if all(not it.is_learner for it in client.members()):
            return True
        page.until(f"{press % 'Promote'} === undefined")
        page.wait_text("counts for majorities from then on", "dialog")
        agree(page, "Promote")
        page.until("text('#said') !== ''")
        page.press("Close")
        return False

    wait_until(promoted)
    page.wait_text("4 of 4 voters are heard", "#summary")
    page.until(f"{press % 'Remove'} === undefined")
    agree(page, "Remove it")
    wait_until(lambda: len(client.members()) == 3)
    cluster.process(position).wait()
    page.wait_text("3 of 3 voters are heard", "#summary")
    # The browser has said so, too, of each time that it was refused.
    page.errors[:] = [it for it in page.errors if "member/promote" not in it]


def test_leadership_is_handed_over_by_the_leaders_page(cluster: Cluster, browser: Browser) -> None:
    leader = cluster.leader()
    with browser.open(f"http://{cluster.endpoints[leader]}/dashboard/") as page:
        page.press("Have it lead")
        page.wait_text("The leader hands over", "dialog")
        page.press("Hand over")
        page.wait_text(": done", "#said")
        page.until(f"!text('#summary').startsWith('m{leader} leads')")
        page.wait_text("Its page", "#summary")
        assert page.errors == []


def test_a_leader_that_is_killed_is_seen_and_its_page_is_old(
    cluster: Cluster, browser: Browser
) -> None:
    """The last one: it takes a member away."""
    leader = cluster.leader()
    follower = next(it for it in cluster.running if it != leader)
    theirs = browser.open(f"http://{cluster.endpoints[leader]}/dashboard/")
    with browser.open(f"http://{cluster.endpoints[follower]}/dashboard/") as page, theirs:
        page.wait_text("3 of 3 voters are heard")
        theirs.wait_text("live from")
        cluster.kill(leader)
        page.wait_text("2 of 3 voters are heard, 0 more may fail")
        page.wait_text(" leads in term", "#happenings")
        theirs.wait_text("old by", "#freshness")
        page.press("Storage")
        page.wait_text("Stores", "#stores")
        cluster.start(leader)
        theirs.wait_text("live from", "#freshness")
        page.evaluate("location.hash = '#/cluster'")
        page.wait_text("3 of 3 voters are heard")
