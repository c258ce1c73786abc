"""Reads a container file, as far as ours goes: instructions by stages."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, with its lines put together."""

    name: str
    text: str


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage; what stands before the first FROM is left out."""
    lines = [it for it in path.read_text().splitlines() if not it.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in whole.splitlines():
        name, _, text = line.partition(" ")
        if name == "FROM":
            found.append([])
        if name and found:
            found[-1].append(Instruction(name, text.strip()))
    return found


def texts(stage: list[Instruction], name: str) -> list[str]:
    """What follows each instruction of that name."""
    return [it.text for it in stage if it.name == name]


def words(text: str) -> list[str]:
    """A command in its form of a list."""
    said = json.loads(text)
    assert all(isinstance(it, str) for it in said)
    return list(said)


def variables(stage: list[Instruction]) -> dict[str, str]:
    """All that ENV sets."""
    said = [it for text in texts(stage, "ENV") for it in shlex.split(text)]
    return {it.partition("=")[0]: it.partition("=")[2] for it in said}
