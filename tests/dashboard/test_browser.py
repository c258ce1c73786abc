"""The page in a real browser, on three real members: cluster, storage, who may what, a dead leader.

What is kept in members is in `test_browser_data.py`.  Where there is no browser these tests are
skipped, and say so.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import roost
from roost.client import Client, ClientError, Credentials, Permission
from roost.member import read_backup
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from tests.dashboard.browser import CHROMIUM, WHY_NOT, Browser, Page
from tests.dashboard.using import HOSTILE, agree, pretend, pretend_told, room

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]
ROOMS = ("cluster", "keys", "tree", "leases", "users", "series", "counters", "storage", "member")
# A directory has no place where a line would be broken.
COMES_LAST = {"storage": "Save one now"}


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
    page.until("/\\d MiB, \\d+ entries/.test(text('#members'))")


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
    page.press("Show versions")
    page.until("/msgspec\\s+\\d+\\.\\d+.*always/.test(text('#built'))")
    page.press("Show endpoints")
    page.wait_text("Time series", "#endpoints")


def test_a_member_is_added_replaced_and_removed(page: Page, client: Client) -> None:
    """One that is never started, so that the others lose nothing."""
    page.press("Add a member")
    page.enter("Name of the new member", "m8")
    page.enter("Peer URL", "http://127.0.0.1:1")
    page.enter("Without a vote", False)
    page.click("named('form button', 'Add a member')")
    page.wait_text("--initial-cluster-state existing")
    rows = "[...document.querySelectorAll('#members tr')]"
    row = f"{rows}.find((it) => it.innerText.includes('never started'))"
    press = f"[...{row}.querySelectorAll('button')].find((it) => it.innerText === '%s')"
    page.click(press % "Replace")
    page.enter("Name of the new member", "m9")
    page.enter("Its peer URL", "http://127.0.0.1:7")
    agree(page, "Replace it")
    page.wait_text("--name m9 --listen-peer-urls http://127.0.0.1:7 ")
    urls = [it.peer_urls for it in client.members()]
    assert ("http://127.0.0.1:7",) in [tuple(it) for it in urls]
    assert ("http://127.0.0.1:1",) not in [tuple(it) for it in urls]
    spans = "[...document.querySelectorAll('#members span[title]')]"
    page.until(f"{spans}.some((it) => it.title.endsWith(' http://127.0.0.1:7'))")
    page.click(press % "Remove")
    page.wait_text("3 members remain", "dialog")
    agree(page, "Remove it")
    wait_until(lambda: len(client.members()) == 3)


def test_how_far_a_member_is_that_gets_a_copy_is_shown(page: Page, client: Client) -> None:
    """It is there in a moment, so the page is told of one that takes longer."""
    other, *_ = client.members()
    sent = {"sent_bytes": 50 << 20, "total_bytes": 200 << 20, "seconds": 5.0}
    copies = [
        {"member": f"{other.id:x}", "is_joining": False, **sent},
        {"member": "abc", "is_joining": True, **sent},
    ]
    pretend_told(page, '"sendings":[]', f'"sendings":{json.dumps(copies)}')
    how_far = "sending, 50.0 MiB of 200 MiB, 10.0 MiB/s, 15 s left"
    page.wait_text(f"{other.name} is too far behind, and gets a copy of", "#sendings")
    page.wait_text("abc joins, and gets a copy of", "#sendings")
    page.wait_text(how_far, "#sendings")
    page.until("document.querySelector('#sendings progress').value === 0.25")


def test_an_alarm_is_disarmed(page: Page) -> None:
    raised = json.dumps({"action": "ACTIVATE", "memberID": "171", "alarm": "NOSPACE"})
    asked = f"fetch('/v3/maintenance/alarm', {{method: 'POST', body: {raised!r}}})"
    assert page.evaluate(f"{asked}.then((it) => it.status)") == 200
    page.press("Disarm")
    page.wait_text("Look first whether what raised it is over", "dialog")
    agree(page, "Disarm")
    page.wait_text("None is raised")


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
    page.wait_text(COMES_LAST.get(name, ""))
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
    too_wide = page.evaluate(
        """document.documentElement.scrollWidth <= 400 ? [] :
        [...document.querySelectorAll("body *")].filter((it) =>
          it.getBoundingClientRect().right > 400 && !it.parentElement.closest(".wide"))
        .map((it) => it.outerHTML.slice(0, 200))"""
    )
    assert too_wide == []


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
    page.click("named('form button', 'Add a member')")
    page.wait_text(f"--name {name} --listen-peer-urls {cluster.peer_url(position)} ")
    cluster.start(position)
    row = (
        "[...document.querySelectorAll('#members tr')].find((it) => it.innerText.startsWith"
        f"({name!r}))"
    )
    page.until(f"{row}.innerText.includes('learner')")
    page.wait_text("3 of 3 voters are heard", "#summary")
    press = f"[...{row}.querySelectorAll('button')].find((it) => it.innerText === '%s')"

    def promoted() -> bool:
        """It is refused as long as the learner has not everything."""
        if all(not it.is_learner for it in client.members()):
            return True
        page.click(press % "Promote")
        page.wait_text("counts for majorities from then on", "dialog")
        agree(page, "Promote")
        page.until("text('#said') !== ''")
        page.press("Close")
        return False

    wait_until(promoted)
    page.wait_text("4 of 4 voters are heard", "#summary")
    page.click(press % "Remove")
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
