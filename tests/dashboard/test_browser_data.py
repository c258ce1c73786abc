"""What members keep, in a real browser: keys, leases and lines, users, series, counters.

Where there is no browser these tests are skipped, and say so.
"""

import json
import threading
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from roost.client import Client, Permission, Put
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.dashboard.browser import CHROMIUM, WHY_NOT, Browser, Page
from tests.dashboard.using import HOSTILE, agree, hold_answers, pretend, room, write_minutes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]


def test_hostile_keys_and_values_are_text(page: Page, client: Client) -> None:
    key = HOSTILE.replace("/", "")
    client.put(f"{key}/{key}", HOSTILE)
    room(page, "keys")
    page.press("<img")
    page.until("text('.steps').includes('<img')")
    page.click("document.querySelector('#keys a')")
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
    page.click("named('dialog button', 'Delete it')")
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
        page.click(
            "[...document.querySelectorAll('#leases tr')].find((it) => it.innerText.includes("
            "'leased')).querySelector('button')"
        )
        page.wait_text("1 key will be deleted with it: leased", "dialog")
        page.press("Revoke it")
        wait_until(lambda: client.get("leased") is None)


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
    page.click("document.querySelector('#users table button')")
    page.wait_text("He loses what it lets him do", "dialog")
    agree(page, "Take it away")
    wait_until(lambda: client.users.roles_of("ada") == [])
    client.users.delete_user("ada")
    client.users.delete_role("reader")


def test_counters_are_counted_and_taken_apart(page: Page) -> None:
    room(page, "counters")
    page.enter("Count", "desk/visits")
    page.enter("by", "5")
    page.click("named('form button', 'Count')")
    page.wait_text("What each member has counted of desk/visits", "#parts")
    page.press("Add 1 to desk/visits")
    page.until("/desk.visits\\s+6/.test(text('#counters'))")
    page.wait_text("Backlog", "#links")


def test_a_counter_is_deleted_and_what_was_deleted_is_purged(page: Page) -> None:
    room(page, "counters")
    page.enter("Count", "desk/gone")
    page.click("named('form button', 'Count')")
    page.wait_text("What each member has counted of desk/gone", "#parts")
    page.click("named('#parts button', 'Delete it')")
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


def test_an_answer_that_comes_after_a_later_one_changes_nothing(page: Page) -> None:
    """Two boxes were ticked, and the graph of the first stood in the end (a busy machine)."""
    write_minutes(page, "late")
    hold_answers(page, "series", "/series/query")
    page.wait_text("late.v{room=a}", "#series")
    page.click("[...document.querySelectorAll('#series input')].at(-1)")
    page.wait_text("What is drawn of late.v{room=a}", "#points")
    page.evaluate("globalThis.holdNext()")
    page.press("Lines beside it")
    page.enter("p95", value=True)
    page.enter("first", value=True)
    page.until("globalThis.wasHeld === true")
    for name in ("mean", "p95", "first"):
        page.wait_text(f"late.v{{room=a}} {name}", "#graph")
    page.until("document.querySelectorAll('#graph .legend li').length === 3")


def test_series_are_drawn_with_their_band(page: Page) -> None:
    write_minutes(page, "heat")
    room(page, "series")
    page.wait_text("heat.v{room=a}", "#series")
    # The last of them, 1999 % 7, beside how many there are.
    page.until("/heat.v{room=a}.*\\s4\\s+1,999\\s/.test(text('#series'))")
    page.click("document.querySelector('#series input')")
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
    # Several aggregates are drawn beside each other, as many as can be told apart.
    page.press("Lines beside it")
    page.enter("p95", value=True)
    page.enter("first", value=True)
    page.until("document.querySelectorAll('#graph .legend li').length === 3")
    for name in ("mean", "p95", "first"):
        page.wait_text(f"heat.v{{room=a}} {name}", "#graph")
    for name in ("min", "max", "sum", "count", "stddev"):
        page.enter(name, value=True)
    page.enter("median", value=True)
    page.wait_text("8 lines are all that can be told apart", "#said")
    page.until("document.querySelectorAll('#graph .legend li').length === 8")
    for name in ("p95", "first", "min", "max", "sum", "count", "stddev"):
        page.enter(name, value=False)
    page.until("document.querySelectorAll('#graph .legend li').length === 1")
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
    # What is typed stays, though all is drawn anew.
    page.enter("Tag of heat.v", "floor:1")
    page.enter("Window", "none")
    page.wait_text("value", "#points")
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


def test_series_are_given_as_csv_and_deleted(page: Page, tmp_path: Path) -> None:
    page.download_to(tmp_path)
    lines = json.dumps("".join(f"cold,room=b v={at} {at * 60}\n" for at in range(1, 200)))
    written = f"fetch('/write?precision=s', {{method: 'POST', body: {lines}}})"
    page.evaluate(f"{written}.then((it) => it.status)")
    room(page, "series")
    page.enter("Names that begin with", "cold")
    page.press("Look")
    page.until("text('#series').includes('cold.v') || (press('Look'), false)")
    page.click("document.querySelector('#series input')")
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


def test_what_changes_in_the_v2_tree_is_watched_and_directories_are_made(page: Page) -> None:
    room(page, "tree")
    page.press("Watch what changes here")
    page.wait_text("watching", "#watched")
    page.press("Create a directory")
    page.enter("Name of the directory", "desks")
    page.press("Create the directory")
    page.press("desks/")
    page.wait_text("There is nothing in it.", "#tree")
    page.press("Watch what changes here")
    page.wait_text("watching", "#watched")
    sent = "fetch('/v2/keys/desks/%s', {method: 'PUT', body: new URLSearchParams({value: '%s'})})"
    for name, value in (("a", "first"), ("b", "other"), ("a", "second")):
        assert page.evaluate(sent % (name, value) + ".then((it) => it.ok)")
    page.wait_text("set /desks/a", "#watched")
    page.wait_text(": second", "#watched")
    assert page.evaluate("fetch('/v2/keys/desks/b', {method: 'DELETE'}).then((it) => it.ok)")
    page.wait_text("delete /desks/b", "#watched")
    page.press("Stop watching")
    page.evaluate("location.hash = '#/tree/%2Fdesks%2F'")
    page.press("Delete the directory")
    page.wait_text("All that is in it will be gone", "dialog")
    agree(page, "Delete it")
    page.until("document.querySelector('#tree') && !text('#tree').includes('desks')")


def test_who_waits_for_a_lock_and_an_election_is_shown_in_its_place(
    page: Page, cluster: Cluster, client: Client
) -> None:
    """Lines are found by the leases that stand in them, without anybody knowing their names."""

    def campaign(value: str, took: threading.Event) -> None:
        with Client(",".join(cluster.endpoints)) as own, own.election("desk-head").lead(value):
            took.set()
            done.wait()

    done = threading.Event()
    first, second = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=campaign, args=(value, took))
        for value, took in (("ada", first), ("bob", second))
    ]
    threads[0].start()
    assert first.wait(30)
    threads[1].start()
    try:
        wait_until(lambda: client.count("desk-head/", prefix=True) == 2)
        room(page, "leases")
        page.click("named('#lines button', 'desk-head')")
        page.wait_text("The line of desk-head", "#queue")
        page.until("/holds it\\s+\\d+\\s+desk-head.[0-9a-f]+\\s+ada/.test(text('#queue'))")
        page.until(
            "/waits, 1 before it\\s+\\d+\\s+desk-head.[0-9a-f]+\\s+bob/.test(text('#queue'))"
        )
        assert not second.is_set()
    finally:
        done.set()
        for it in threads:
            it.join()


def test_who_waits_for_a_lock_of_v2_is_shown_in_its_place(page: Page) -> None:
    """The line of etcd 0.3's locks, which are places in a directory of v2's tree."""
    hold = (
        "fetch('/mod/v2/lock/desk/lamp', {method: 'POST', body: 'ttl=60&value=ada', headers:"
        " {'content-type': 'application/x-www-form-urlencoded'}}).then((it) => it.status)"
    )
    assert page.evaluate(hold) == 200
    page.evaluate(hold.replace("value=ada", "value=bob").replace("fetch(", "(void fetch(") + ")")
    room(page, "leases")
    page.enter("Name of a lock or an election", "desk/lamp")
    page.enter("Of etcd's v2", value=True)
    page.until("(named('button', 'Look').click(), text('#queue').includes('1 before it'))")
    page.until("/holds it\\s+\\d+\\s+ada/.test(text('#queue'))")
    page.until("/waits, 1 before it\\s+\\d+\\s+bob/.test(text('#queue'))")
    page.wait_text("/mod/v2/lock/desk/lamp", "#queue")


def test_users_roles_and_ranges_are_deleted(page: Page, client: Client) -> None:
    client.users.add_user("eve", "hers")
    client.users.add_role("writer")
    for key in (b"config/", b"other/"):
        client.users.grant_permission("writer", Permission("write", key, key[:-1] + b"0"))
    room(page, "users")
    page.wait_text("write other/…", "#roles")
    rows = "[...document.querySelectorAll('#roles td div')]"
    row = f"{rows}.find((it) => it.innerText.includes('other/'))"
    page.click(f"{row}.querySelector('button')")
    page.wait_text("Whoever has the role loses it at once", "dialog")
    agree(page, "Take it away")
    wait_until(lambda: [it.key for it in client.users.permissions_of("writer")] == [b"config/"])
    page.until("text('#roles').includes('config/') && !text('#roles').includes('other/')")
    for card, title in (("users", "He can sign in no more"), ("roles", "All users lose it")):
        page.click(f"named('#{card} button', 'Delete')")
        page.wait_text(title, "dialog")
        agree(page, "Delete")
    wait_until(lambda: client.users.users() == [] and client.users.roles() == [])


def test_keys_are_found_by_how_they_begin(page: Page, client: Client) -> None:
    for it in ("fruit/apple", "fruit/apricot", "fruit/pear"):
        client.put(it, "x")
    room(page, "keys")
    page.enter("Keys that begin with", "fruit/ap")
    page.press("Go there")
    page.wait_text("ple\nricot", "#keys")
    assert "ear" not in page.evaluate("text('#keys')")
    client.delete("fruit/", prefix=True)


def test_the_page_is_there_at_once(cluster: Cluster, browser: Browser) -> None:
    """Something is painted within 300 ms; a machine that does other things has several tries."""
    painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime"

    def is_quick() -> bool:
        with browser.open(f"http://{cluster.endpoints[0]}/dashboard/") as page:
            page.until(f"{painted} > 0")
            return float(page.evaluate(painted)) < 300

    wait_until(is_quick)


def test_a_hundred_thousand_keys_do_not_freeze_the_page(
    cluster: Cluster, browser: Browser, client: Client
) -> None:
    """The longest task is below 200 ms; again where the machine has taken the time elsewhere."""
    for begin in range(0, 100_000, 100):
        numbers = range(begin, begin + 100)
        client.txn(then=[Put(f"heap/{it // 50_000}/{it:06}", b"%d" % it) for it in numbers])
    observed = (
        "globalThis.longest = 0; new PerformanceObserver((list) => { for (const it of"
        " list.getEntries()) longest = Math.max(longest, it.duration); })"
        ".observe({ type: 'longtask', buffered: true });"
    )

    def is_quick() -> bool:
        with browser.open(f"http://{cluster.endpoints[0]}/dashboard/") as page:
            page.command("Page.addScriptToEvaluateOnNewDocument", source=observed)
            page.go(f"{page.url}?")
            room(page, "keys")
            page.press("heap/ …")
            page.press("1/ …")
            page.wait_text("050099", "#keys")
            for last in ("050199", "050299", "050399"):
                page.press("More")
                page.wait_text(last, "#keys")
            page.press("Delete all of these")
            page.wait_text("50,000 keys will be gone", "dialog")
            page.click("named('dialog button', 'Leave it')")
            room(page, "storage")
            page.press("Count keys and bytes")
            page.wait_text("Counted in the file")
            took_ms = float(page.evaluate("longest"))
            # And what does freeze it would be seen.
            busy = "{ const end = performance.now() + 250; while (performance.now() < end); }"
            page.evaluate(f"void setTimeout(() => {busy})")
            page.until("longest >= 200")
            return took_ms < 200

    wait_until(is_quick)
    client.delete("heap/", prefix=True)
