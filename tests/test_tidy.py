"""Our own rules, held as tests."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
UNFINISHED = "FIX" + "ME"
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve"}
PYTHON = [
    path
    for folder in ("src", "tests", "bench", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.endswith("_pb2.py")
]


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_tidy(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a file opens by saying what it is for"
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert UNFINISHED not in text, "finish it before it lands"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name}: {lines} lines"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & FORBIDDEN_MODULES, "bytes from outside never become code"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec"), "nothing is evaluated"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            is_held = called == "group.create_task"  # a TaskGroup holds its tasks
            assert is_held or not called.endswith("create_task"), "somebody must hold a task"


@pytest.mark.parametrize(
    "package", sorted(it.parent for it in (ROOT / "src/roost").glob("*/__init__.py")), ids=str
)
def test_a_package_has_its_design(package: Path) -> None:
    if package.name != "cli":
        assert (package / "DESIGN.md").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_nothing_names_this_machine_or_a_registry() -> None:
    words = ["/" + "root/", "/" + "work/", "/" + "tmp/", "pypi" + ".org", "pythonhosted" + ".org"]
    # The room of requests under way is no machine's path.
    pattern = re.compile("(?<!member)(?:" + "|".join(map(re.escape, words)) + ")")
    for path in tracked_files():
        if path.exists() and path.suffix != ".lock":
            found = pattern.search(path.read_text(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


def test_the_words_and_codes_that_clients_see_have_one_place() -> None:
    """etcd's texts stand in etcd/errors.py, gRPC's codes in call.py (issue 13)."""
    source = ROOT / "src/roost"
    # These are clients: they read what a member says.
    readers = {source / "cli/troubles.py", source / "testing/load.py"}
    numbered = re.compile(r"\b(?:fail|finish|Status|ModelRefused)\(\d")
    table = re.compile(
        r"\b_?(?:INVALID_ARGUMENT|NOT_FOUND|PERMISSION_DENIED|RESOURCE_EXHAUSTED|OUT_OF_RANGE"
        r"|FAILED_PRECONDITION|UNAVAILABLE|UNAUTHENTICATED|UNIMPLEMENTED|DATA_LOSS)\b[^()\n]*= *\d"
        r"|[\"'](?:InvalidArgument|FailedPrecondition|ResourceExhausted)[\"']"
    )
    for path in source.rglob("*.py"):
        text = path.read_text()
        where = path.relative_to(ROOT)
        if path != source / "etcd/errors.py" and path not in readers:
            assert "etcdserver:" not in text, f"{where} speaks for etcd"
        if path != source / "call.py" and not path.name.endswith("_pb2.py"):
            found = table.search(text) or numbered.search(text)
            assert found is None, f"{where} has codes of its own: {found}"


def test_a_temporary_test_never_sleeps() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        assert "time.sleep" + "(" not in path.read_text(), f"{path.name} sleeps"


def test_tasks_and_processes_have_one_owner() -> None:
    """`roost.tasks` and `roost.children` start them, hear of their errors and end them."""
    bare = re.compile(r"create_task\(|ensure_future\(|create_subprocess_|Popen\(|os\.fork\(")
    # `guarded` owns the command of whoever holds a lock; the simulator has a loop of its own.
    owners = {"tasks.py", "children.py", "guarded.py"}
    for path in (ROOT / "src/roost").rglob("*.py"):
        rooms = path.relative_to(ROOT / "src/roost").parts
        if path.name not in owners and rooms[0] not in ("sim", "testing"):
            found = bare.search(path.read_text())
            assert found is None, f"{path.relative_to(ROOT)}: {found}"
