"""Writes the blocking face of classes of asyncio: `python -m roost.faces.writer roost.client`.

Each file of the package's room `aio` has a file of the same name in its room `blocking`.  A public
class there is a `Face` of one here, by these rules:

    async def m(...) -> T                 def m(...) -> T, run on the loop while the caller waits
    ... -> AsyncGenerator[T, None]        ... -> Generator[T, None, None]
    def m(...) -> T, a property           the same, asked in the caller's thread
    __aenter__, __aexit__, __aiter__      __enter__, __exit__, __iter__
    @translated                           the body without `await`, in the caller's thread
    a parameter that is a Callable        it is called on a thread of its own
    @opening on __init__                  makes the object, and the loop that it lives on
    @also(Base) on a class                it is derived from Base, too
    close                                 also ends the loop, if it was made here
    async def open(...) -> X in a file    a function that makes an X, and the loop that it lives on
    if TYPE_CHECKING: from ... import X   a property that is an X loads it when it is asked for

A class that is a face itself is wrapped where it is returned (`X`, `X | None`) and unwrapped where
it is given; it may be of another package's room `aio`, and be derived from.  A class whose
`__init__` is not marked is only ever returned.  Docstrings, names, kinds and defaults of parameters
are the same; a test compares.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

MADE = "# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.\n"
_GIVES = re.compile(r"\bAsync(?:Generator|Iterator)\[(.*?)(?:, None)?\]$")
_WORDS = (
    (r"\basync with\b", "with"),
    (r"\basync for\b", "for"),
    (r"\basync def\b", "def"),
    (r"\bawait ", ""),
    (r"\baio\.(?=[A-Z])", ""),
    (
        r"\bAsyncGenerator\[([^\[\]]*(?:\[(?:[^\[\]]|\[[^\[\]]*\])*\])?[^\[\]]*), None\]",
        r"Generator[\1, None, None]",
    ),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
)
# A module in the room `aio` of any package.
_ROOM = re.compile(r"^(roost(?:\.\w+)*|tests\.faces\.\w+)\.aio\b")
_MARKS = ("translated", "opening")
_SPECIAL = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}


_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Blocking(ast.NodeTransformer):
    """A body without anything that waits for a loop."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        held: ast.AST = self.visit(node.value)
        return held

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        self.generic_visit(node)
        return ast.With(items=node.items, body=node.body)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        return ast.For(target=node.target, iter=node.iter, body=node.body, orelse=node.orelse)


@dataclass(slots=True)
class Writer:
    """The rooms `aio` and `blocking` of one package."""

    package: str
    room: Path
    faces: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    # Faces that are loaded when they are first asked for, and the modules that have them.
    late: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, package: str) -> "Writer":
        """Read which classes have a face."""
        spec = find_spec(package)
        assert spec is not None, "it is ours"
        assert spec.origin is not None, "it has an __init__.py"
        writer = cls(package, Path(spec.origin).parent)
        for path in writer.sources():
            writer.own.update(it.name for it in _classes(ast.parse(path.read_text())))
        return writer

    def sources(self) -> list[Path]:
        """The files people write."""
        return sorted(self.room.glob("aio/*.py"))

    def target(self, source: Path) -> Path:
        """The file that is made of one."""
        return self.room / "blocking" / source.name

    def text(self, source: Path) -> str:
        """The blocking file, formatted."""
        tree = ast.parse(source.read_text())
        self.faces = self.own | set(_from_other_rooms(tree.body))
        self.late = _late(tree)
        doc = (ast.get_docstring(tree) or "").replace("for asyncio", "that blocks")
        ending = "\n" if "\n" in doc else ""
        parts = [f'"""{_translate(doc)}{ending}"""\n', MADE]
        parts += [_moved(it) for it in tree.body if _is_import(it)]
        late = [_moved(it) for it in tree.body if _is_late(it)]
        if source.name == "__init__.py":
            parts += late
            parts += [ast.unparse(it) for it in tree.body if isinstance(it, ast.Assign)]
            return _formatted("\n".join(parts) + "\n", self.target(source))
        parts.append(f"from {self.package}.aio import {source.stem} as aio")
        parts.append("from collections.abc import Generator")
        parts.append("from roost.faces import Face, LoopThread")
        parts += late
        parts += [ast.unparse(it) for it in tree.body if _is_type_variable(it)]
        parts += [self._class(it) for it in _classes(tree)]
        parts += [self._function(it) for it in tree.body if _is_function(it)]
        return _formatted("\n".join(parts) + "\n", self.target(source))

    def _class(self, node: ast.ClassDef) -> str:
        given = [ast.unparse(it) for it in node.bases]
        bases = [it for it in given if _name(it) in self.faces]
        kinds = [it for it in given if _name(it) == "Generic"]
        derived = [*(bases or ["Face"]), *_also(node), *kinds]
        lines = [f"class {node.name}({', '.join(derived)}):", _doc(node)]
        is_foreign = any(_name(it) not in self.own for it in bases)
        if not bases or is_foreign or any(_is_init(it) for it in node.body):
            parameters = kinds[0].removeprefix("Generic") if kinds else ""
            lines.append(f"    _inner: aio.{node.name}{parameters}\n")
        lines += [
            indent(self._method(node, it), "    ")
            for it in node.body
            if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(it)
        ]
        return "\n".join(lines)

    def _function(self, node: ast.stmt) -> str:
        assert isinstance(node, ast.AsyncFunctionDef), "it was looked at"
        made = ast.unparse(node.returns) if node.returns else ""
        assert made in self.faces, f"{node.name} makes nothing that has a face"
        return (
            f"def {node.name}({_translate(ast.unparse(node.args))}) -> {made}:\n{_doc(node)}\n"
            f'    loop = LoopThread("roost-{made.lower()}")\n'
            "    try:\n"
            f"        inner = loop.call(aio.{node.name}({self._given(node, 'loop')}))\n"
            "    except BaseException:\n"
            "        loop.close()\n"
            "        raise\n"
            f"    return {made}._owning(inner, loop)\n"
        )

    def _method(self, owner: ast.ClassDef, node: _Function) -> str:
        name = _SPECIAL.get(node.name, node.name)
        marks = [ast.unparse(it) for it in node.decorator_list]
        returns = _translate(ast.unparse(node.returns)) if node.returns else "None"
        head = f"def {name}({_translate(ast.unparse(node.args))}) -> {returns}:"
        kept = [f"@{it}" for it in marks if it not in _MARKS]
        if "overload" in marks:
            body = "..."
        elif "translated" in marks:
            body = _translated_body(node)
        elif _is_init(node):
            body = (
                f'self._loop = LoopThread("roost-{owner.name.lower()}")\n'
                f"self._inner = aio.{owner.name}({self._given(node)})\n"
                "self._owns_loop = True"
            )
        else:
            body = self._wrapper(node, marks)
        parts = [*kept, head, _doc(node), indent(body, "    "), ""]
        return "\n".join(it for it in parts if it) + "\n"

    def _wrapper(self, node: _Function, marks: list[str]) -> str:
        returns = ast.unparse(node.returns).strip("'") if node.returns else "None"
        if "property" in marks:
            body = f"return {self._wrapped(f'self._inner.{node.name}', returns)}"
            place = self.late.get(returns)
            return body if place is None else f"from {place} import {returns}\n{body}"
        asked = f"self._inner.{node.name}({self._given(node)})"
        if gives := _GIVES.search(returns):
            if _name(gives[1]) in self.faces:
                return (
                    f"for it in self._loop.iterate({asked}):\n"
                    f"    yield {_name(gives[1])}._of(it, self._loop)"
                )
            return f"return self._loop.iterate({asked})"
        if node.name == "close":
            return f"self._close({asked})"
        if isinstance(node, ast.AsyncFunctionDef):
            asked = f"self._loop.call({asked})"
        if returns == "Self":
            return f"{asked}\nreturn self"
        if returns == "None":
            return asked
        return f"return {self._wrapped(asked, returns)}"

    def _wrapped(self, said: str, returns: str) -> str:
        kind, _, rest = returns.partition(" | ")
        if _name(kind) not in self.faces:
            return said
        return f"{_name(kind)}.{'_of_any' if rest else '_of'}({said}, self._loop)"

    def _given(self, node: _Function, loop: str = "self._loop") -> str:
        """The arguments of a call that passes on what this one was given."""
        return ", ".join(self._arguments(node.args, loop))

    def _arguments(self, args: ast.arguments, loop: str) -> Iterator[str]:
        for it in [*args.posonlyargs, *args.args]:
            if it.arg != "self":
                yield self._passed(it, loop)
        if args.vararg is not None:
            yield f"*{args.vararg.arg}"
        for it in args.kwonlyargs:
            yield f"{it.arg}={self._passed(it, loop)}"
        if args.kwarg is not None:
            yield f"**{args.kwarg.arg}"

    def _passed(self, parameter: ast.arg, loop: str) -> str:
        name = parameter.arg
        kind = ast.unparse(parameter.annotation) if parameter.annotation else ""
        first, _, _ = kind.partition(" | None")
        if first.startswith("Callable["):
            passed = f"{loop}.calling({name})"
        elif first in self.faces:
            passed = f"{name}._inner"
        else:
            return name
        return f"None if {name} is None else {passed}" if kind != first else passed


def _name(kind: str) -> str:
    """A class's name, without what it is a class of."""
    return kind.partition("[")[0]


def _also(node: ast.ClassDef) -> list[str]:
    """What the blocking class is derived from besides."""
    return [
        ast.unparse(it.args[0])
        for it in node.decorator_list
        if isinstance(it, ast.Call) and ast.unparse(it.func) == "also"
    ]


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [it for it in tree.body if isinstance(it, ast.ClassDef) and not it.name.startswith("_")]


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_late(node: ast.stmt) -> bool:
    """Names that are loaded when they are first used: `if TYPE_CHECKING: ...`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _late(tree: ast.Module) -> dict[str, str]:
    """Classes that a file has from rooms `aio` when it needs them, by the blocking modules."""
    return {
        name.name: _ROOM.sub(r"\1.blocking", node.module)
        for block in tree.body
        if isinstance(block, ast.If) and _is_late(block)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module and _ROOM.match(node.module)
        for name in node.names
    }


def _moved(node: ast.stmt) -> str:
    """Imports, of the room `blocking`."""
    for it in ast.walk(node):
        if isinstance(it, ast.ImportFrom) and it.module:
            it.module = _ROOM.sub(r"\1.blocking", it.module)
        elif isinstance(it, ast.Constant) and isinstance(it.value, str):
            it.value = _ROOM.sub(r"\1.blocking", it.value)
    return ast.unparse(node)


def _is_type_variable(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return False
    return ast.unparse(node.value.func) == "TypeVar"


def _from_other_rooms(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Classes that a file has from rooms `aio`, by the names that it gives them."""
    for node in body:
        if isinstance(node, ast.If) and _is_late(node):
            yield from _from_other_rooms(node.body)
        elif isinstance(node, ast.ImportFrom) and _ROOM.match(node.module or ""):
            yield from (it.asname or it.name for it in node.names if it.name[0].isupper())


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_")


def _is_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def _is_public(node: _Function) -> bool:
    if _is_init(node):
        return any(ast.unparse(it) == "opening" for it in node.decorator_list)
    return node.name in _SPECIAL or not node.name.startswith("_")


def _translate(text: str) -> str:
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return text


def _doc(node: ast.AST) -> str:
    said = ast.get_docstring(node, clean=True)  # type: ignore[arg-type]  # classes and functions
    if not said:
        return ""
    text = _translate(said)
    closing = "\n\n" if "\n" in text else ""
    mark = "r" if "\\" in text else ""
    return indent(f'{mark}"""{text}{closing}"""', "    ")


def _translated_body(node: _Function) -> str:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    made = ast.Module(body=[_Blocking().visit(it) for it in body], type_ignores=[])
    return ast.unparse(ast.fix_missing_locations(made))


def _formatted(text: str, target: Path) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    quiet = ["--quiet", "--stdin-filename", str(target), "-"]
    for words in (["check", "--fix-only", "--select", "F401,I001"], ["format"]):
        done = subprocess.run(  # noqa: S603 - our own tool
            [*ruff, *words, *quiet], input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr + text)
        text = done.stdout
    return text


def main() -> None:
    """Write the blocking room of each package that is named."""
    for package in sys.argv[1:]:
        writer = Writer.of(package)
        (writer.room / "blocking").mkdir(exist_ok=True)
        for source in writer.sources():
            writer.target(source).write_text(writer.text(source))


if __name__ == "__main__":
    main()
