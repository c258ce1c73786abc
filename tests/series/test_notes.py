"""What people note of series and tags: kept, listed, removed, and bounded."""

from pathlib import Path

import pytest

from roost.series import notes
from tests.series.test_interface import Asked, with_interface

pytestmark = pytest.mark.slow


def test_notes_are_of_series_and_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "NOTES_MAX", 2)

    async def story(ask: Asked) -> None:
        async def listed() -> list[dict[str, str]]:
            found: list[dict[str, str]] = (await ask("GET", "/series/notes"))["notes"]
            return found

        assert await listed() == []
        await ask("PUT", "/series/notes", {"series": 'cpu{host="a b"}', "note": "too höt"})
        await ask("PUT", "/series/notes", {"tag": "room=1", "note": "is being built"})
        wanted = [
            {"series": 'cpu{host="a b"}', "note": "too höt"},
            {"tag": "room=1", "note": "is being built"},
        ]
        assert await listed() == wanted
        for body in (
            {"series": "a", "note": "one more"},
            {"series": 'cpu{host="a b"}', "note": "x" * (notes.NOTE_BYTES_MAX + 1)},
        ):
            status, said = await ask("PUT", "/series/notes", body)
            assert (status, said["code"]) == (409, "bad_note")
        for wrong in ({"note": "x"}, {"note": "x", "series": "a", "tag": "b=c"}, {"series": "a"}):
            assert (await ask("PUT", "/series/notes", wrong))[0] == 400
        assert (await ask.raw("POST", "/series/notes", b"{}"))[0] == 405
        assert await listed() == wanted
        await ask("PUT", "/series/notes", {"tag": "room=1", "note": None})
        await ask("PUT", "/series/notes", {"series": "none", "note": None})
        assert await listed() == wanted[:1]

    with_interface(tmp_path, story)
