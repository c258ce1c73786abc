"""A real browser for tests: Chromium, driven over a pipe by its DevTools protocol (CDP).

Nothing but the standard library, no port, no driver: commands go to descriptor 3 of the browser as
JSON, answers and events come from its descriptor 4, each ended by a NUL.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from roost.testing.patience import PATIENCE_S, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WHY_NOT = "no Chromium is here: the page was tried in no browser (Debian: apt install chromium)"
# Nobody but the page asks anybody for anything.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars", "--mute-audio"),
    "--remote-debugging-pipe",
)
# Gives the pipes the numbers that Chromium wants; first others, so that neither is in the way.
_BEGIN = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(it), fcntl.F_DUPFD, 10) for it in sys.argv[1:3]]
for number, pipe in zip((3, 4), pipes):
    os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
# What tests say in the page: elements by what people see of them.
_HELPERS = """
globalThis.seen = (element) => element.checkVisibility();
globalThis.named = (kind, text) => {
  const found = [...document.querySelectorAll(kind)].filter((it) => seen(it) &&
    ((it.textContent.trim() || "").startsWith(text) ||
     (it.getAttribute("aria-label") || "") === text));
  if (!found.length) throw new Error(`there is no ${kind} that says ${text}`);
  return found[found.length - 1];
};
globalThis.press = (text) => { named("button, summary, a", text).click(); return true; };
globalThis.enter = (label, value) => {
  const found = [...document.querySelectorAll("label")].filter((it) => seen(it) &&
    it.textContent.trim().startsWith(label));
  if (!found.length) throw new Error(`there is no field ${label}`);
  const input = found[found.length - 1].querySelector("input, textarea, select");
  if (input.type === "checkbox") { if (input.checked !== value) input.click(); return true; }
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
};
globalThis.text = (selector = "body") => document.querySelector(selector)?.innerText ?? "";
"""


class BrowserError(Exception):
    """The browser, or what runs in it, failed."""


class Browser:
    """One, for a `with` block."""

    def __init__(self, directory: Path) -> None:
        """`directory` is for its profile."""
        assert CHROMIUM is not None, WHY_NOT
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        profile = f"--user-data-dir={directory}"
        command = [CHROMIUM, *_FLAGS, profile, "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _BEGIN, str(theirs_in), str(theirs_out), *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._rest = b""
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._out)
        os.close(self._in)
        # It has children that outlive it: all of its group end.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def command(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Have something done, and wait for its answer."""
        self._number += 1
        said: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            said["sessionId"] = session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while self._number not in self._answers:
            self.take(deadline - time.monotonic())
        answer = self._answers.pop(self._number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def take(self, wait_s: float) -> None:
        """Take what the browser says, once it says something."""
        if not select.select([self._in], [], [], max(0.0, wait_s))[0]:
            raise BrowserError("the browser says nothing")
        data = os.read(self._in, 1 << 20)
        if not data:
            raise BrowserError("the browser has ended")
        *whole, self._rest = (self._rest + data).split(b"\0")
        for one in whole:
            said = json.loads(one)
            if "id" in said:
                self._answers[said["id"]] = said
            elif page := self.pages.get(said.get("sessionId", "")):
                page.hear(said["method"], said["params"])

    def open(
        self, url: str, *, width: int = 1280, height: int = 900, is_dark: bool = False
    ) -> "Page":
        """A page of its own, with nothing of the others'."""
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)[
            "sessionId"
        ]
        page = Page(self, session, target["targetId"])
        self.pages[session] = page
        for it in ("Page", "Runtime", "Network", "Log"):
            page.command(f"{it}.enable")
        page.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        page.command("Emulation.setEmulatedMedia", features=[scheme])
        page.command("Page.addScriptToEvaluateOnNewDocument", source=_HELPERS)
        page.go(url)
        return page


class Page:
    """One page; `errors` is what its console was told that is one."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.errors: list[str] = []
        self.requested: list[str] = []
        self.url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._browser.command("Target.closeTarget", targetId=self._target)

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """As `Browser.command`, in this page."""
        return self._browser.command(method, self._session, **params)

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """The browser tells of something."""
        match method:
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"])[:1000])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.errors.append(json.dumps(params["args"])[:1000])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                entry = params["entry"]
                self.errors.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])

    def go(self, url: str) -> None:
        """Go to an address, and wait until the page stands."""
        self.url = url
        self.command("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && typeof named === 'function'")

    def download_to(self, directory: Path) -> None:
        """Have what is downloaded put there."""
        said = self._browser.command("Target.getTargetInfo", targetId=self._target)
        self._browser.command(
            "Browser.setDownloadBehavior",
            behavior="allow",
            browserContextId=said["targetInfo"]["browserContextId"],
            downloadPath=str(directory),
        )

    def resize(self, width: int, height: int = 900) -> None:
        """Be so large."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def evaluate(self, expression: str) -> Any:
        """What an expression comes to; promises are waited for."""
        said = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in said:
            raise BrowserError(json.dumps(said["exceptionDetails"])[:1000])
        return said["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true; what it raises is not yet true."""

        def holds() -> bool:
            try:
                return bool(self.evaluate(expression))
            except BrowserError:
                return False

        try:
            wait_until(holds, PATIENCE_S)
        except TimeoutError as error:
            shown = self.evaluate("document.body.innerText")
            raise AssertionError(f"{expression}\n{self.errors}\n{shown[:3000]}") from error

    def wait_text(self, text: str, selector: str = "body") -> None:
        """Wait until people can read something."""
        self.until(f"text({json.dumps(selector)}).includes({json.dumps(text)})")

    def press(self, text: str) -> None:
        """Press a button or a link by what it says, once it is there."""
        self.until(f"press({json.dumps(text)})")

    def click(self, element: str) -> None:
        """Press what an expression finds, once it is there."""
        self.until(f"({element}.click(), true)")

    def enter(self, label: str, value: str | bool) -> None:  # noqa: FBT001 - as people do
        """Fill a field, by its label."""
        self.until(f"enter({json.dumps(label)}, {json.dumps(value)})")

    def drag(self, selector: str, begin: float, end: float) -> None:
        """Mark a stretch of an element from left to right, in parts of its width."""
        box = self.evaluate(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}}),"
            f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        )
        y = box["y"] + box["height"] / 2
        for kind, part in (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            self.command(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box["x"] + part * box["width"],
                y=y,
                button="left",
                clickCount=1,
            )

    def screenshot(self) -> bytes:
        """A picture, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])
