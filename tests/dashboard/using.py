"""What people do with the page, whichever room they are in."""

import json

from tests.dashboard.browser import Page

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>&amp;'


def room(page: Page, name: str) -> None:
    page.evaluate(f"location.hash = '#/{name}'")
    page.until(f"document.querySelector('nav a[aria-current]')?.hash === '#/{name}'")


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


def write_minutes(page: Page, name: str) -> None:
    """A point a minute of NAME.v{room=a}, 1,999 of them, from 1970 on."""
    lines = "".join(f"{name},room=a v={at % 7} {at * 60}\n" for at in range(1, 2000))
    page.evaluate(
        f"fetch('/write?precision=s', {{method: 'POST', body: {json.dumps(lines)}}})"
        ".then((it) => it.status)"
    )


def hold_answers(page: Page, name: str, path: str) -> None:
    """In a room of a new page: after `holdNext()` the next answer comes behind the one after it.

    `wasHeld` is true once the page has had the time to make something of both.
    """
    source = (
        "(() => { const ask = window.fetch; let release = null, held = false;"
        "globalThis.holdNext = () => { held = true; };"
        "window.fetch = async (url, options) => {"
        f"const isIt = new URL(url, location).pathname.endsWith({json.dumps(path)});"
        "if (!isIt) return ask(url, options);"
        "if (held) { held = false;"
        "const later = new Promise((done) => { release = done; });"
        "const answer = await ask(url, options); await later;"
        "setTimeout(() => { globalThis.wasHeld = true; }, 100);"
        "return answer; }"
        "const answer = await ask(url, options);"
        "if (release !== null) setTimeout(release, 100);"
        "return answer; }; })()"
    )
    page.command("Page.addScriptToEvaluateOnNewDocument", source=source)
    page.go(f"{page.url}?")
    room(page, name)


def pretend_told(page: Page, before: str, after: str) -> None:
    """What is told of the cluster, again and again, has other words in it on a new page."""
    source = (
        "(() => { const ask = window.fetch; window.fetch = async (url, options) => {"
        "const answer = await ask(url, options);"
        "if (!new URL(url, location).pathname.endsWith('/events')) return answer;"
        "const changed = new TransformStream({ transform: (it, out) =>"
        f" out.enqueue(it.replaceAll({json.dumps(before)}, {json.dumps(after)})) }});"
        "const told = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(changed);"
        "return new Response(told.pipeThrough(new TextEncoderStream()), answer); }; })()"
    )
    page.command("Page.addScriptToEvaluateOnNewDocument", source=source)
    page.go(f"{page.url}?")


def agree(page: Page, verb: str) -> None:
    """Answer what is asked before something is changed."""
    page.click(f"named('dialog button', {json.dumps(verb)})")
