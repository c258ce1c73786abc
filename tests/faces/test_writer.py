"""A blocking face has the names, parameters and words of asyncio's, and is what is made of it."""

import inspect
import re
from importlib import import_module
from types import FunctionType, ModuleType

import pytest

from roost.faces.writer import Writer

PACKAGES = [
    "tests.faces.example",
    "roost.database",
    "roost.objects",
    "roost.counters",
    "roost.client",
    "roost.program",
]
MODULES = [
    (package, path.stem)
    for package in PACKAGES
    for path in Writer.of(package).sources()
    if path.name != "__init__.py"
]
OURS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_made_is_what_would_be_made(package: str) -> None:
    writer = Writer.of(package)
    made = {writer.target(it) for it in writer.sources()}
    for source in writer.sources():
        held = writer.target(source).read_text()
        assert held == writer.text(source), "run `make faces`"
    assert set(made) == set((writer.room / "blocking").glob("*.py"))


def public(kind: type) -> dict[str, object]:
    return {
        OURS.get(name, name): it
        for name, it in vars(kind).items()
        if name in OURS or name in OURS.values() or not name.startswith("_")
    }


def classes(module: ModuleType) -> dict[str, type]:
    return {
        name: it
        for name, it in vars(module).items()
        if inspect.isclass(it) and it.__module__ == module.__name__ and not name.startswith("_")
    }


def shape(function: object) -> list[str]:
    """Names, kinds, defaults and types of parameters, and what comes of it."""
    assert isinstance(function, FunctionType)
    said = inspect.signature(function)
    rows = [
        f"{it.name} {it.kind} {it.default} {without_waiting(it.annotation)}"
        for it in said.parameters.values()
    ]
    return [*rows, without_waiting(said.return_annotation)]


def without_waiting(kind: object) -> str:
    text = re.sub(r"<class '([\w.]+)'>", r"\1", str(kind))
    text = re.sub(r"\w+(\.\w+)*\.(aio|blocking)\.(\w+\.)?", "", text)
    text = re.sub(r"collections\.abc\.Awaitable\[([^]]*)\]", r"\1", text)
    return re.sub(r"AsyncGenerator\[(.*), None\]", r"Generator[\1, None, None]", text)


@pytest.mark.parametrize(("package", "name"), MODULES)
def test_both_faces_have_the_same_names_and_signatures(package: str, name: str) -> None:
    ours = classes(import_module(f"{package}.aio.{name}"))
    made = classes(import_module(f"{package}.blocking.{name}"))
    assert list(ours) == list(made)
    for kind, theirs in zip(ours.values(), made.values(), strict=True):
        assert list(public(kind)) == list(public(theirs))
        for (called, one), (_, other) in zip(
            public(kind).items(), public(theirs).items(), strict=True
        ):
            if isinstance(one, property):
                assert isinstance(other, property)
                one, other = one.fget, other.fget
            assert shape(one) == shape(other), f"{kind.__name__}.{called}"


@pytest.mark.parametrize(("package", "name"), MODULES)
def test_nothing_of_asyncio_is_left_in_the_words(package: str, name: str) -> None:
    for kind in classes(import_module(f"{package}.blocking.{name}")).values():
        for function in public(kind).values():
            said = inspect.getdoc(function) or ""
            assert not re.search(r"\b(await|async)\b|asyncio", said), f"{kind.__name__}: {said}"
