"""Our own rules, held as tests; `docs/style.md` says why they are rules."""

import ast
import gc
import re
import shutil
import subprocess
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "roost"
FILE_LINES_AIM, FILE_LINES_WARNED, FILE_LINES_MAX = 400, 600, 800
FUNCTION_LINES_MAX = 70
ATTRIBUTES_MAX = 40
UNFINISHED = "FIX" + "ME"
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "unittest.mock"}
# Words that say nothing of what is in a file.
EMPTY_NAMES = {"utils", "helpers", "common", "manager", "misc"}
# Tests look again and again here, and nowhere else.
THE_ONE_THAT_SLEEPS = SOURCES / "testing" / "patience.py"
# Who gives a loop one turn because others ask it to, one look each.
GIVES_TURNS = {"look_again"}
# A line that only draws a line: the file wants to be two.
BANNER = re.compile(r"^ *# ?[-=#*]{3,}", re.MULTILINE)


class LongFileWarning(UserWarning):
    """A file that should be cut before it has to be."""


def _python(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.endswith("_pb2.py")
    ]


PYTHON = _python("src", "tests", "bench", "docs", "examples", "compiling", "deploy")
PRODUCTION = _python("src")
TESTS = [*_python("tests"), *_python("src/roost/testing")]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All there is in a file: many rules look at all of it, and to walk takes longer."""
    return list(ast.walk(parsed(path)))


@pytest.fixture(scope="module", autouse=True)
def all_in_one_worker() -> Iterator[None]:
    """Each worker that took some of these tests would parse every file again.

    Nothing of the trees is garbage before the end; to look for it takes longer than to parse.
    """
    gc.disable()
    yield
    parsed.cache_clear()
    nodes.cache_clear()
    gc.enable()


# What a test says that only names points of a list, or a section of the thesis.
NUMBERS_ONLY = re.compile(r"(?:(?:Checklist|[JP])?[ ]?\d+[,;.]?\s*)+")
THESIS = re.compile(r"[Tt]hesis,? (?:§|Figure )?\d")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def faults(rule: Callable[[Path], Iterator[str]], paths: list[Path]) -> list[str]:
    """What `rule` finds in any of the files, each with its place."""
    return [f"{path.relative_to(ROOT)}: {fault}" for path in paths for fault in rule(path)]


def _shape_of_file(path: Path) -> Iterator[str]:
    if not ast.get_docstring(parsed(path)):
        yield "it does not open by saying what it is for"
    if EMPTY_NAMES & {path.stem, path.parent.name}:
        yield "its name does not say what is in it"
    if (count := len(path.read_text().splitlines())) > FILE_LINES_MAX:
        yield f"{count} lines"
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name} has {lines} lines"


@pytest.mark.filterwarnings("always::tests.test_tidy.LongFileWarning")
def test_a_file_says_what_it_is_for_and_fits_into_a_head() -> None:
    assert faults(_shape_of_file, PYTHON) == []
    for path in PYTHON:
        if (count := len(path.read_text().splitlines())) > FILE_LINES_WARNED:
            text = f"{path.relative_to(ROOT)} has {count} lines"
            warnings.warn(text, LongFileWarning, stacklevel=1)


def test_a_file_that_is_longer_than_we_aim_at_has_its_reason() -> None:
    record = (ROOT / "docs" / "decisions" / "0008-rooms-and-floors.md").read_text()
    reasons = re.findall(r"^\| `([\w/]+\.py)` \| \S", record, re.MULTILINE)
    texts = {path: path.read_text() for path in PRODUCTION}
    written = {
        path: text for path, text in texts.items() if "do not edit: `make faces`" not in text
    }
    long = [it for it, text in written.items() if len(text.splitlines()) > FILE_LINES_AIM]
    assert sorted(reasons) == sorted(str(it.relative_to(SOURCES)) for it in long)


def _knowing_too_much(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.ClassDef):
            own = {
                it.attr
                for it in ast.walk(node)
                if isinstance(it, ast.Attribute)
                and isinstance(it.ctx, ast.Store)
                and _is_name(it.value, "self")
            }
            if len(own) > ATTRIBUTES_MAX:
                yield f"{node.name} has {len(own)} attributes"


def test_no_object_knows_everything() -> None:
    """`Core` once had 42 attributes, and five writers from outside."""
    assert faults(_knowing_too_much, PRODUCTION) == []


def _forbidden(path: Path) -> Iterator[str]:
    if UNFINISHED in path.read_text():
        yield "it is not finished"
    for node in nodes(path):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            if names & FORBIDDEN_MODULES:
                yield f"line {node.lineno}: bytes never become code, and fakes are real"
        if isinstance(node, ast.Call) and _is_name(node.func, "eval", "exec"):
            yield f"line {node.lineno}: something is evaluated"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            # A TaskGroup holds its tasks.
            if called.endswith("create_task") and called != "group.create_task":
                yield f"line {node.lineno}: nobody holds that task"


def _is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def test_what_must_not_land_does_not() -> None:
    assert faults(_forbidden, PYTHON) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_lies_in_the_repository_is_text() -> None:
    """What was fetched or built by the way lands by mistake: three packages once nearly did."""
    # Directories of members are packed: see `tests/database/kept.py`.
    packed = set((ROOT / "tests" / "data").glob("directory-*.zip"))
    files = (it for it in tracked_files() if it.is_file() and it.suffix != ".png")
    texts = [it for it in files if it not in packed]
    assert texts
    assert [it for it in texts if b"\0" in it.read_bytes()] == []


def _unexplained(path: Path) -> Iterator[str]:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        for mark in ("# type: " + "ignore[", "# no" + "qa:"):
            _, found, rest = line.partition(mark)
            if found and not re.search(r"(#|-) \S", rest):
                yield f"line {number} does not say why"
    for node in nodes(path):
        if isinstance(node, ast.ExceptHandler) and isinstance(node.body[0], ast.Pass):
            said = lines[node.lineno - 1 : node.body[0].lineno]
            if not any("#" in it for it in said):
                yield f"line {node.lineno} swallows an error"


def test_an_exception_to_a_rule_says_why() -> None:
    assert faults(_unexplained, PYTHON) == []


def _said_of_tests(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node) or ""
            if NUMBERS_ONLY.fullmatch(said):
                yield f"{node.name} teaches nothing to who has not the list open"
            if THESIS.search(said) and '"' not in said:
                yield f"{node.name} does not quote the sentence that it shows"


def test_a_test_says_what_it_shows_and_quotes_the_sentence_of_the_thesis() -> None:
    assert faults(_said_of_tests, _python("tests")) == []


@pytest.mark.parametrize(
    "said", ["J22.", "Checklist 142; J10, J11.", "Thesis §3.5: only a conflict deletes."]
)
def test_a_test_that_only_points_somewhere_is_found(said: str, tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(f'def test_it() -> None:\n    """{said}"""\n')
    assert len(list(_said_of_tests(path))) == 1


def _banners(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if BANNER.match(line):
            yield f"line {number} wants to be a file"


def test_no_file_has_a_banner() -> None:
    assert faults(_banners, PYTHON) == []


def test_every_rule_of_ruffs_that_we_leave_out_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    ignored = tomllib.loads(text)["tool"]["ruff"]["lint"]["ignore"]
    bare = [it for it in ignored if not re.search(rf'^    "{it}", *# \S', text, re.MULTILINE)]
    assert bare == []


# What is loaded by everybody, for what few use.
LAZY = {
    SOURCES / it
    for it in (
        "__init__.py",
        "client/__init__.py",
        "client/aio/__init__.py",
        "client/blocking/__init__.py",
        "faces/__init__.py",
        "sim/__init__.py",
        "testing/__init__.py",
    )
}


def _is_lazy(node: ast.AST) -> bool:
    """How names are imported when they are used: a client must not load a server."""
    match node:
        case ast.If(
            test=ast.Name(id="TYPE_CHECKING"),
            body=body,
            orelse=[*_, ast.Assign(targets=[ast.Name(id="__getattr__")])],
        ):
            return all(isinstance(it, ast.ImportFrom) for it in body)
    return False


def _more_than_names(path: Path) -> Iterator[str]:
    _docstring, *rest = parsed(path).body
    for node in rest:
        is_list = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if path in LAZY and _is_lazy(node):
            continue
        if not is_list and not isinstance(node, ast.Import | ast.ImportFrom):
            yield f"line {node.lineno}"


def test_a_package_states_its_public_names_and_nothing_else() -> None:
    assert faults(_more_than_names, [it for it in PRODUCTION if it.name == "__init__.py"]) == []


@pytest.mark.parametrize(
    "package", sorted(it.parent for it in SOURCES.glob("*/__init__.py")), ids=lambda it: it.name
)
def test_a_package_has_its_design(package: Path) -> None:
    """With a place for each of its files: a table that lacks some sends people astray."""
    text = (package / "DESIGN.md").read_text()
    assert "**Purpose.**" in text
    assert "## Invariants" in text
    named = {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}
    files = [it for it in PRODUCTION if package in it.parents and it.name != "__init__.py"]
    assert sorted(it.stem for it in files if it.stem not in named) == []


# Of protobuf, and the beginnings of families of names.
NAMED_ELSEWHERE = {"symbol_database", "look_at_", "judge_"}


def test_a_design_names_what_there_is() -> None:
    """A name that was changed in the code and not beside it leads nowhere."""
    lost = {
        (name, str(design.relative_to(ROOT)))
        for design in SOURCES.rglob("DESIGN.md")
        for code in re.findall(r"`([\w./:()]+)`", design.read_text())
        for name in re.findall(r"[A-Za-z_]\w+", code)
        if name not in NAMED_ELSEWHERE
    }
    assert len(lost) > 1000
    files = [it for it in SOURCES.rglob("*") if it.suffix in (".py", ".js", ".proto", ".html")]
    files += [*_python("tests"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    paths = {part for it in files for part in it.relative_to(ROOT).with_suffix("").parts}
    lost = {it for it in lost if it[0] not in paths}
    for path in files:
        words = set(re.findall(r"\w+", path.read_text())) if lost else set()
        lost = {it for it in lost if it[0] not in words}
    assert sorted(lost) == []


def _loose_data(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if not isinstance(node, ast.ClassDef):
            continue
        given = {it.arg: ast.unparse(it.value) for it in node.keywords}
        is_struct = any(ast.unparse(it).endswith("Struct") for it in node.bases)
        if is_struct and given.get("frozen") != "True":
            yield f"{node.name} is not frozen"
        for decorator in map(ast.unparse, node.decorator_list):
            if decorator.startswith("dataclass") and "slots=True" not in decorator:
                yield f"{node.name} has no slots"


def test_wire_and_disk_never_change_and_memory_has_its_fields_only() -> None:
    assert faults(_loose_data, PRODUCTION) == []


# Rows of a format, and of hot paths, that are unpacked where they are made.
MAY_HAVE_ROWS = {
    "journal/index.py", "journal/record.py", "store/txn.py", "store/write_set.py",
}  # fmt: skip


def _nameless_rows(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
            if len(parts) >= 3:
                yield f"line {node.lineno}: {ast.unparse(node)} has no names for its parts"
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(it) for it in node.bases):
            for it in node.body:
                if isinstance(it, ast.Assign) and isinstance(it.value, ast.Tuple):
                    yield f"line {it.lineno}: {ast.unparse(it)} has no names for its parts"


def test_three_things_that_belong_together_have_names() -> None:
    may = {SOURCES / it for it in MAY_HAVE_ROWS}
    concerned = [it for it in PRODUCTION if it not in may]
    assert faults(_nameless_rows, concerned) == []
    assert [it for it in may if not list(_nameless_rows(it))] == [], "who has none needs no leave"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_nothing_names_this_machine_or_a_registry() -> None:
    words = ["/" + "root/", "/" + "work/", "/" + "tmp/", "pypi" + ".org", "pythonhosted" + ".org"]
    pattern = re.compile("|".join(map(re.escape, words)))
    for path in tracked_files():
        if path.is_file() and path.suffix != ".lock":  # a link to a folder is none
            found = pattern.search(path.read_text(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


def test_the_words_and_codes_that_clients_see_have_one_place() -> None:
    """etcd's texts stand in etcd/errors.py, gRPC's codes in call.py (issue 13)."""
    # These are clients: they read what a member says.
    readers = {
        SOURCES / "cli/troubles.py",
        SOURCES / "testing/load.py",
        SOURCES / "sim/members/heavy.py",
    }
    numbered = re.compile(r"\b(?:fail|finish|Status|ModelRefused)\(\d")
    table = re.compile(
        r"\b_?(?:INVALID_ARGUMENT|NOT_FOUND|PERMISSION_DENIED|RESOURCE_EXHAUSTED|OUT_OF_RANGE"
        r"|FAILED_PRECONDITION|UNAVAILABLE|UNAUTHENTICATED|UNIMPLEMENTED|DATA_LOSS)\b[^()\n]*= *\d"
        r"|[\"'](?:InvalidArgument|FailedPrecondition|ResourceExhausted)[\"']"
    )
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        where = path.relative_to(ROOT)
        if path != SOURCES / "etcd/errors.py" and path not in readers:
            assert "etcdserver:" not in text, f"{where} speaks for etcd"
        if path != SOURCES / "call.py" and not path.name.endswith("_pb2.py"):
            found = table.search(text) or numbered.search(text)
            assert found is None, f"{where} has codes of its own: {found}"


def _pauses(tree: ast.AST, around: tuple[ast.AST, ...] = ()) -> Iterator[str]:
    """Where time passes, or turns of a loop do, for no reason that could be named."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield from _pauses_of_call(node, around)
        yield from _pauses(node, (*around, node))


def _pauses_of_call(node: ast.Call, around: tuple[ast.AST, ...]) -> Iterator[str]:
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in {"sleep", "wait"}:
        return
    called, given = ast.unparse(node.func), [ast.unparse(it) for it in node.args]
    said = f"line {node.lineno}: {ast.unparse(node)}"
    if called == "time.sleep":
        yield f"{said} sleeps: wait for a fact, with `wait_until`"
    elif called == "asyncio.sleep" and given != ["0"]:
        yield f"{said} sleeps: wait for a fact, or let virtual time pass with `pass_time`"
    elif called == "asyncio.sleep":
        looks = any(isinstance(it, ast.While) for it in around)
        # Moments that are counted on purpose are counted by a name.
        counts = any(
            isinstance(it, ast.For) and re.match(r"range\([a-z]", ast.unparse(it.iter))
            for it in around
        )
        gives = any(
            isinstance(it, ast.AsyncFunctionDef) and it.name in GIVES_TURNS for it in around
        )
        if not (looks or counts or gives):
            yield f"{said} waits for turns: `until_idle`, or look for a fact in a `while`"
    elif called.endswith("Event().wait") and given:
        yield f"{said} waits for what nobody can say"
    elif called.endswith(".wait") and given and isinstance(around[-1], ast.Expr):
        for it in around:
            if isinstance(it, ast.With) and "pytest.raises" in ast.unparse(it.items[0]):
                return
        yield f"{said} does not look whether it came"


def test_a_test_waits_for_facts_and_never_for_time() -> None:
    waiting = [it for it in TESTS if it != THE_ONE_THAT_SLEEPS]
    assert faults(lambda path: _pauses(parsed(path)), waiting) == []


@pytest.mark.parametrize(
    "text",
    [
        "time.sleep(1)",
        "await asyncio.sleep(0.1)",
        "await asyncio.sleep(A_WHILE)",
        "for _ in range(5):\n    await asyncio.sleep(0)",
        "threading.Event().wait(0.1)",
        "over.wait(0.3)",
    ],
)
def test_a_pause_is_found_under_every_name(text: str) -> None:
    assert len(list(_pauses(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "while not told:\n    await asyncio.sleep(0)",
        "for _ in range(turns):\n    await asyncio.sleep(0)",
        "assert over.wait(10)",
        "while not over.wait(0.3):\n    renew()",
        "process.wait(timeout=30)",
        "with pytest.raises(Late):\n    scope.wait(60)",
        "await asyncio.Event().wait()",
    ],
)
def test_a_bound_on_waiting_for_a_fact_is_no_pause(text: str) -> None:
    assert list(_pauses(ast.parse(text))) == []


def test_tasks_and_processes_have_one_owner() -> None:
    """`roost.tasks` and `roost.children` start them, hear of their errors and end them."""
    bare = re.compile(r"create_task\(|ensure_future\(|create_subprocess_|Popen\(|os\.fork\(")
    # `guarded` owns the command of whoever holds a lock, `shell` that of a line; the simulator has
    # a loop of its own.
    owners = {"tasks.py", "children.py", "guarded.py", "shell.py"}
    for path in (ROOT / "src/roost").rglob("*.py"):
        rooms = path.relative_to(ROOT / "src/roost").parts
        if path.name not in owners and rooms[0] not in ("sim", "testing"):
            found = bare.search(path.read_text())
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


# Second words for a thing that has one; the table in `docs/style.md` has the first ones.
SECOND_WORDS = {
    *("stable", "faulty", "rotten", "mend", "mended", "salvage", "salvaged", "unhanded"),
    *("pump", "tend", "settle", "settled", "unsettled"),
}
# To settle a future, and the word of the scenarios.
SETTLERS = {"settle_future", "settle", "do_settle"}
SETTLES_FUTURES = {"src/roost/etcd/border.py", "src/roost/etcd/v2/asking.py"}
SETTLES_CORES = {"src/roost/sim/cores/cores.py", "bench/core.py"}


def _names_of(node: ast.AST) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return "" if name.startswith("test_") else name
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return name
        case _:
            return ""


def _is_misnamed_time(node: ast.AST) -> bool:
    """Whether a parameter has the name of a moment and is a clock, or the other way round."""
    if not isinstance(node, ast.arg) or node.annotation is None:
        return False
    kind = ast.unparse(node.annotation)
    if node.arg in ("clock", "now", "now_s"):
        return kind.startswith("Callable")
    return node.arg == "clock_s" and kind == "float"


@cache
def _has_second_word(name: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return name not in SETTLERS and not SECOND_WORDS.isdisjoint(words)


def _second_words(all_nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in all_nodes:
        name = _names_of(node)
        if _has_second_word(name):
            yield f"line {getattr(node, 'lineno', 0)}: {name} has another word"
        if _is_misnamed_time(node):
            yield f"line {getattr(node, 'lineno', 0)}: {name} is not what it says"


def test_a_thing_has_one_word() -> None:
    assert faults(lambda path: _second_words(nodes(path)), PYTHON) == []


def test_nothing_settles_but_futures_and_cores() -> None:
    """Where it is called it has the name that it was given here."""
    named = {
        str(path.relative_to(ROOT))
        for path in PYTHON
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef) and node.name == "settle"
    }
    assert named == SETTLES_FUTURES | SETTLES_CORES


@pytest.mark.parametrize(
    "text", ["log.stable_index", "class FaultyDisk: ...", "def f(now_s: Callable[[], float]): ..."]
)
def test_a_second_word_is_found_wherever_a_name_is(text: str) -> None:
    assert len(list(_second_words(ast.walk(ast.parse(text))))) == 1
