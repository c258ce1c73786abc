"""Each program of the benches explains itself, and says what it was told that cannot be."""

import ast
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from bench import options
from bench.__main__ import legend

from tests.benchmark.test_page import RUN

ROOT = Path(__file__).parent.parent.parent
# Those that others start, and that are told by lines what to do.
STARTED_BY_OTHERS = {"objects_member", "operations_process", "pysyncobj_member"}
PROGRAMS = sorted(
    it.stem
    for it in (ROOT / "bench").glob("*.py")
    if '__name__ == "__main__"' in it.read_text() and it.stem not in STARTED_BY_OTHERS
)


def told(monkeypatch: pytest.MonkeyPatch, program: str, *given: str) -> int | str | None:
    """The code that it ends with."""
    monkeypatch.setattr(sys, "argv", [program, *given])
    with pytest.raises(SystemExit) as raised:
        import_module(f"bench.{program}").main()
    return raised.value.code


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_its_name_and_its_docstring_line_by_line(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert told(monkeypatch, program, "--help") == 0
    shown = capsys.readouterr().out
    name = "bench" if program == "__main__" else f"bench.{program}"
    assert shown.startswith(f"usage: python -m {name} ")
    text = ast.get_docstring(ast.parse((ROOT / "bench" / f"{program}.py").read_text()))
    assert text is not None
    assert text in shown
    own = shown[shown.index("\noptions:") :]
    assert re.findall(r"^  (--\S+)(?: \S+)*\n(?!  {4})", own, re.MULTILINE) == [], "without a word"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_of_measuring_has_it(program: str) -> None:
    name = "bench" if program == "__main__" else f"bench.{program}"
    assert f"`python -m {name}" in (ROOT / "docs/how-to/measure.md").read_text()


@pytest.mark.parametrize(
    ("program", "given", "fault"),
    [
        ("__main__", ("--rounds", "0"), "--rounds: '0' is no whole number above 0"),
        ("__main__", ("--scale", "0"), "--scale: '0' is no number above 0, and at most 100"),
        ("__main__", ("--scale", "nan"), "--scale: 'nan' is no number above 0"),
        ("__main__", ("--members", "2"), "--members: invalid choice: 2"),
        ("wan", ("--batches", "0"), "--batches: '0' is no whole number above 0"),
        ("embedded", ("--rows", "some"), "--rows: invalid choice: 'some'"),
        ("watches", ("--hot", "20", "--watchers", "10"), "--hot: 20 of 10 watchers cannot be"),
    ],
)
def test_what_has_no_end_or_no_figure_is_refused(
    program: str,
    given: tuple[str, ...],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(monkeypatch, program, *given) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"runs": [{}], "rows": []}', '{"rows": []}'])
def test_a_file_that_holds_something_else_is_refused_before_anything_is_measured(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.__main__.require_h2load", lambda: None)
    path = tmp_path / "results.json"
    path.write_text(text)
    assert told(monkeypatch, "__main__", "--into", str(path)) == 2
    assert f"--into: {path} holds no raw results" in capsys.readouterr().err


def test_without_the_load_generator_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    for program in ("__main__", "counters", "operations"):
        assert "install the package nghttp2-client" in str(told(monkeypatch, program))


def test_beneath_a_table_stands_what_was_measured_and_that_it_is_a_trial() -> None:
    assert "Roost: 45 modules compiled; etcd 3.5.1." in legend(RUN)
    assert "trial" not in legend(RUN)
    for part in ({"rounds": 1}, {"scale": 0.1}, {"load": 2.0}):
        assert "A trial: fewer than 5 rounds" in legend(replace(RUN, **part))


def test_an_interrupt_ends_a_program_without_a_traceback() -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as raised:
        options.start(main)
    assert raised.value.code == 130
    for program in PROGRAMS:
        text = (ROOT / "bench" / f"{program}.py").read_text()
        assert text.endswith('if __name__ == "__main__":\n    start(main)\n'), program
