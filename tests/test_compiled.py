"""The modules that may be compiled: that they can be, and that they do what the sources say.

Most of this reads the sources, so it holds wherever it runs.  `make test-compiled` runs it once
more beside the compiled modules.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import roost
from roost import compiled
from roost.cli.main import main
from roost.compiled import DIGEST_FILE, MODULES
from roost.journal.batch import Batch as ToWrite
from roost.journal.batch import Write
from roost.member.pipeline.batch import Batch, Request
from roost.raft import Ready
from roost.store.rows import Puts

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src"
IS_COMPILED = bool(compiled.compiled_modules())


def source_of(module: str) -> Path:
    return SOURCES.joinpath(*module.split(".")).with_suffix(".py")


TREES = {module: ast.parse(source_of(module).read_text()) for module in MODULES}


def test_each_is_there_once_and_in_order() -> None:
    assert len(set(MODULES)) == len(MODULES)
    assert [it for it in MODULES if not source_of(it).is_file()] == []
    assert list(MODULES) == sorted(MODULES)


def classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (it for it in ast.walk(tree) if isinstance(it, ast.ClassDef))


def origins(tree: ast.Module) -> dict[str, str]:
    """Where names come from that a module imports: `Puts` from `roost.store.rows`."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


@pytest.mark.parametrize("module", MODULES)
def test_it_has_nothing_that_the_compiler_gets_wrong(module: str) -> None:
    tree = TREES[module]
    from_where = origins(tree)
    for node in classes(tree):
        bases = [ast.unparse(it) for it in node.bases]
        # `frozen`, `gc`, `array_like`, `tag` and `kw_only` are lost without a word.
        assert not any(it.split(".")[-1] == "Struct" for it in bases), f"{node.name} is a Struct"
        for base in bases:
            origin = from_where.get(base.split("[")[0], "")
            is_ours = origin.startswith("roost.") and not base.endswith(("Fault", "Error"))
            assert not is_ours or origin in MODULES, f"{node.name}'s base {base} is interpreted"
        # `get = has = _tell` makes attributes of what looks like methods.
        names = {it.name for it in node.body if isinstance(it, ast.FunctionDef)}
        given = {ast.unparse(it.value) for it in node.body if isinstance(it, ast.Assign)}
        assert not given & names, f"{node.name} has other names for its methods"
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [it for it in ast.walk(part) if isinstance(it, ast.ClassDef)]
            assert not inner, f"{part.name} has a class in it"
            # A generator of a function in a function may not be closed when it is over.
            for it in ast.walk(part):
                is_inner = it is not part and isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)
                yields = any(isinstance(x, ast.Yield | ast.YieldFrom) for x in ast.walk(it))
                assert not (is_inner and yields), f"{part.name} has a generator in it"
            # It would be a list, made whole before anybody reads it.
            returned = [it.value for it in ast.walk(part) if isinstance(it, ast.Return)]
            assert not any(isinstance(it, ast.GeneratorExp) for it in returned), part.name
        # C has no such thread-local word to give away.
        assert not (isinstance(part, ast.Attribute) and part.attr == "_thread")
    assert "__main__" not in ast.unparse(tree), "what is compiled is no program"


def compared(test: ast.expr | None) -> set[str]:
    """Attributes of which a condition asks whether they are None."""
    if isinstance(test, ast.BoolOp):
        return {it for part in test.values for it in compared(part)}
    if isinstance(test, ast.UnaryOp):
        return compared(test.operand)
    if isinstance(test, ast.Compare) and ast.unparse(test.comparators[0]) == "None":
        return {ast.unparse(test.left)} if isinstance(test.left, ast.Attribute) else set()
    return set()


def is_of_all(test: ast.expr) -> bool:
    """Whether it is `a and b`: where that did not hold, nobody knows which of them did not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.operand, ast.BoolOp):
        return isinstance(test.operand.op, ast.Or)
    return isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)


def calls(part: ast.AST) -> bool:
    return any(isinstance(it, ast.Call) for it in ast.walk(part))


def compared_again(body: list[ast.stmt], known: set[str], *, is_called: bool) -> Iterator[int]:
    """Lines that ask of an attribute in `known` again, behind a call that may have changed it."""
    for statement in body:
        test = getattr(statement, "test", None)
        found = compared(test)
        if is_called and found & known:
            yield statement.lineno
        is_called = is_called or (calls(test) if test is not None else calls(statement))
        within = known | found
        for name in ("body", "orelse", "finalbody"):
            yield from compared_again(getattr(statement, name, []), within, is_called=is_called)
        for handler in getattr(statement, "handlers", []):
            yield from compared_again(handler.body, known, is_called=is_called)
        is_called = is_called or calls(statement)
        ends = (ast.Return, ast.Raise, ast.Continue, ast.Break)
        is_known_behind = isinstance(statement, ast.Assert) or (
            isinstance(statement, ast.If)
            and isinstance(statement.body[-1], ends)
            and not is_of_all(statement.test)
        )
        known = known | found if is_known_behind else known
        stored = (it for it in ast.walk(statement) if isinstance(it, ast.Attribute))
        known = known - {ast.unparse(it) for it in stored if isinstance(it.ctx, ast.Store)}


@pytest.mark.parametrize("module", MODULES)
def test_what_a_call_may_change_is_not_asked_about_again(module: str) -> None:
    """The checker believes the first answer, and compiled, that belief is checked: a TypeError."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = list(compared_again(node.body, set(), is_called=False))
            assert lines == [], f"{node.name}: read it into a name first"


def test_a_function_that_asks_again_is_found() -> None:
    """As it stood in `store/long_write.py`."""
    text = """
if self.count and self.fault is None:
    self.take()
    if self.fault is None:
        return
"""
    assert list(compared_again(ast.parse(text).body, set(), is_called=False)) == [4]
    right = text.replace("self.take()", "self.fault = self.take()")
    assert list(compared_again(ast.parse(right).body, set(), is_called=False)) == []


# Those that do, and what bounds the descent.
CALL_THEMSELVES = {
    "_rows": "a layer a call, and a stack has few",
    "has_put": "transactions in transactions: protobuf lets 100 messages be in each other",
    "_carry_out": "the same",
}


@pytest.mark.parametrize("module", MODULES)
def test_no_function_of_it_calls_itself(module: str) -> None:
    """Interpreted, an endless descent is an exception of the request; compiled, of the process."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            called = [ast.unparse(it.func) for it in ast.walk(node) if isinstance(it, ast.Call)]
            is_endless = {node.name, f"self.{node.name}"} & set(called)
            assert not is_endless or node.name in CALL_THEMSELVES, node.name


@pytest.mark.parametrize("module", MODULES)
def test_no_function_in_another_knows_one_beside_it(module: str) -> None:
    """Compiled, both and all that they know are in a cycle, which only the collector frees."""
    defined = ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(TREES[module]):
        if not isinstance(node, defined):
            continue
        inner = [it for it in ast.walk(node) if isinstance(it, defined | ast.Lambda)][1:]
        names = {it.name for it in inner if not isinstance(it, ast.Lambda)}
        for it in inner:
            known = {name.id for name in ast.walk(it) if isinstance(name, ast.Name)}
            assert not known & names, f"{node.name} in {module}: make a method of it"


@pytest.mark.parametrize("module", MODULES)
def test_no_class_of_it_has_an_interpreted_base(module: str) -> None:
    """Its attributes would be in a dictionary then, and its methods be looked for by name."""
    own = {"builtins", "typing", *MODULES}
    for node in classes(TREES[module]):
        made: type = getattr(import_module(module), node.name)
        if not issubclass(made, BaseException | tuple | Enum):
            assert [it for it in made.__mro__ if it.__module__ not in own] == []


# What tests replace, as (name of the module, name in it).
REPLACED = {
    (where.rpartition(".")[2], name)
    for path in (ROOT / "tests").rglob("*.py")
    for where, name in re.findall(
        r"setattr\(\s*\"?([\w.]+)\"?[,.]\s*\"?([A-Z_][A-Z0-9_]+)\"", path.read_text()
    )
}
REPLACED_NAMES = {name for _, name in REPLACED}


@pytest.mark.parametrize("module", MODULES)
def test_a_number_of_it_is_final_unless_a_test_replaces_it(module: str) -> None:
    """A look-up of a name costs more than what is done with it; but a final one stays as it is."""
    final, plain = set[str](), set[str]()
    for node in TREES[module].body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("Final"):
            final.add(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.BinOp):
            plain |= {it.id for it in node.targets if isinstance(it, ast.Name)}
    assert {it for it in plain if it.isupper()} <= REPLACED_NAMES
    assert not {(module.rpartition(".")[2], it) for it in final} & REPLACED


def test_what_each_put_makes_is_no_dataclass() -> None:
    """The `__init__` of one is interpreted, also where its module is compiled."""
    assert not any(map(is_dataclass, (Request, Batch, Puts, Ready, ToWrite, Write)))


BASES = re.compile(r"^ *class \w+\(([^)]*)\)", re.MULTILINE)


def test_no_interpreted_class_has_a_compiled_base_that_does_not_allow_it() -> None:
    """It would be refused when its module is imported: tests' fakes are such classes."""
    native, allowing = {}, set()
    for module, node in ((it, node) for it, tree in TREES.items() for node in classes(tree)):
        # The compiler leaves these as they are.
        plain = ("Protocol", "Enum", "IntEnum", "NamedTuple")
        if not any(ast.unparse(it) in plain for it in node.bases):
            native[node.name] = module
        if any("allow_interpreted_subclasses" in ast.unparse(it) for it in node.decorator_list):
            allowing.add(node.name)
    assert allowing == {"BaseReader", "Connection", "Outgoing", "View"}
    compiled_sources = {source_of(it) for it in MODULES}
    found, looked_at = [], 0
    for path in [*SOURCES.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        text = path.read_text()
        # Most have no such class, and to parse all of them takes longer than all else here.
        if not set(re.findall(r"\w+", " ".join(BASES.findall(text)))) & native.keys():
            continue
        looked_at += 1
        tree = ast.parse(text)
        from_where = origins(tree)
        for node in classes(tree):
            for base in map(ast.unparse, node.bases):
                # From the module itself, or from its package's face.
                origin = from_where.get(base, "nowhere")
                is_native = base not in allowing and native.get(base, "").startswith(origin)
                if is_native and path not in compiled_sources:
                    found.append(f"{path.relative_to(ROOT)}: {node.name} of {base}")
    assert found == []
    assert looked_at > len(allowing), "fakes of those that allow it are among them"


def test_the_suites_of_their_rooms_run_compiled_and_real_clusters_too() -> None:
    text = (ROOT / "Makefile").read_text()
    found = re.search(r"^COMPILED_SUITES := ((?:\\\n|.)*)$", text, re.MULTILINE)
    assert found is not None
    suites = set(found[1].replace("\\", " ").split())
    assert [it for it in suites if not (ROOT / it).exists()] == []
    assert {"tests/fuzz", "tests/test_compiled.py", "tests/test_wheel.py"} <= suites
    for module in MODULES:
        _, room, *rest = module.split(".")
        own = f"tests/{room}" if rest else f"tests/test_{room}.py"
        assert own in suites or not (ROOT / own).exists(), module
    (names,) = re.findall(r"^COMPILED_CLUSTERS := .*?,((?:\\\n|.)*)\)$", text, re.MULTILINE)
    clusters = names.replace("\\", " ").split()
    assert "test_real_faults.py" in clusters
    assert [it for it in clusters if not (ROOT / "tests/integration" / it).exists()] == []
    assert "make test-compiled" in (ROOT / "docs/how-to/compile.md").read_text()


def test_the_whole_check_has_what_is_compiled_in_it() -> None:
    text = (ROOT / "Makefile").read_text()
    (steps,) = re.findall(r"^test: .*\n\t.* lint types (.*)$", text, re.MULTILINE)
    assert "test-compiled" in steps.split()
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert "compiling/compile.py --into" not in text, "into the sources comes `make fast` alone"


def pretend(root: Path, modules: tuple[str, ...]) -> Path:
    """A package with extension modules that are empty files."""
    package = root / "roost"
    shutil.copytree(
        SOURCES / "roost", package, ignore=shutil.ignore_patterns("*.so", "*.pyc", DIGEST_FILE)
    )
    for module in modules:
        root.joinpath(*module.split(".")).with_suffix(".abi3.so").touch()
    return package


def test_a_tree_says_which_one_it_is_and_why_it_must_not_run(tmp_path: Path) -> None:
    package = pretend(tmp_path, ())
    assert compiled.description(package) == "pure Python"
    assert compiled.fault(package) is None

    package = pretend(tmp_path / "some", MODULES[:2])
    assert compiled.fault(package) == f"only 2 of {len(MODULES)} modules are compiled"

    package = pretend(tmp_path / "all", MODULES)
    assert compiled.fault(package) == f"compiled modules without {DIGEST_FILE}"
    (package / DIGEST_FILE).write_text(compiled.source_digest(package) + "\n")
    assert compiled.fault(package) is None
    assert compiled.description(package) == f"{len(MODULES)} modules compiled"

    with (package / "cli" / "kv.py").open("a") as file:
        file.write("\n")
    assert compiled.fault(package) == "the compiled modules were made of other sources"
    assert compiled.description(package).startswith("unusable: the compiled modules were made")


def test_a_member_of_other_sources_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "fault", lambda: "they were made of other sources")
    done = CliRunner().invoke(main, ["serve", f"--data-dir={tmp_path / 'd'}"])
    assert done.exit_code == 1
    assert "made of other sources: `make fast` or `make slow`" in done.output
    assert not (tmp_path / "d").exists()


def test_the_command_says_which_tree_it_is() -> None:
    said = CliRunner().invoke(main, ["--version"]).output
    tree = f"{len(MODULES)} modules compiled" if IS_COMPILED else "pure Python"
    assert re.fullmatch(rf"roost \d+\.\d+\.\d+ \({tree}\)\n", said)
    page = (ROOT / "docs/how-to/compile.md").read_text()
    assert f"({len(MODULES)} modules compiled)" in page


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled here: `make test-compiled`")
@pytest.mark.parametrize("module", MODULES)
def test_what_is_imported_is_what_was_compiled(module: str) -> None:
    path = import_module(module).__file__
    assert path is not None
    assert path.endswith(".so")
    assert Path(path).is_relative_to(Path(roost.__file__).parent)
