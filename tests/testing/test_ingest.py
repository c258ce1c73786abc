"""Faults while points come in, a short round; and a campaign that sees what is broken."""

from pathlib import Path

import pytest

from roost.testing import ingest
from roost.testing.ingest import Campaign, IngestReport, Writer, run_ingest, value

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def test_what_was_told_durable_is_there_after_faults_of_all_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BETWEEN", 8)
    report = run_ingest(tmp_path, rounds=1, power_cuts=0, say=lambda _text: None)
    assert report.broken == []
    assert (report.kills, report.cuts, report.pauses) == (5, 1, 1)
    assert report.acknowledged > 1000
    assert report.sent >= report.acknowledged


def test_a_point_that_is_missing_or_wrong_is_seen() -> None:
    report = IngestReport(1)
    campaign = object.__new__(Campaign)
    campaign._report = report
    writer = Writer(1, [], 10)
    writer.durable, writer.sent = 3, 5
    whole = {it: value(1, it) for it in range(3)}
    campaign._check("m0", writer, whole)
    campaign._check("m0", writer, whole | {4: value(1, 4)})
    assert report.broken == []
    campaign._check("m0", writer, {0: value(1, 0), 2: value(1, 2)})
    assert report.broken.pop() == "m0: 1 told durable are missing, from 1"
    for wrong in ({1: 5.5}, {5: value(1, 5)}):
        campaign._check("m0", writer, whole | wrong)
        assert "1 are wrong" in report.broken.pop()
