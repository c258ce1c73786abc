"""The text of a scenario: blocks of prose, commands and answers; a command's words.

What the commands are and do is `scenario`'s.
"""

import re
from dataclasses import dataclass, field

from roost.sim.cores.notation import node_id

END_OF_COMMANDS = "----"
# A word, or a name with a list in parentheses.
_WORD = re.compile(r"[^\s()=]+=\([^)]*\)|\S+")


@dataclass(slots=True)
class Block:
    """Prose, commands, and what they print."""

    prose: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)


def parse(text: str) -> list[Block]:
    """The blocks of a file."""
    blocks: list[Block] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        block, is_answer = Block(), False
        for line in part.splitlines():
            if line == END_OF_COMMANDS:
                is_answer = True
            elif is_answer:
                block.expected.append(line)
            elif line.startswith("#"):
                block.prose.append(line)
            else:
                block.commands.append(line)
        blocks.append(block)
    return blocks


def points_of(text: str) -> list[int]:
    """The points of the checklist that a scenario says it shows."""
    return points_in(" ".join(line.lstrip("# ") for it in parse(text) for line in it.prose))


def points_in(prose: str) -> list[int]:
    """The numbers in `Checklist 75, 76 and 80`."""
    lists = re.findall(r"Checklist ((?:\d+(?:, | and |,\n\s*)?)+)", prose)
    return [int(number) for listed in lists for number in re.findall(r"\d+", listed)]


@dataclass(slots=True)
class Words:
    """The words of one command: plain ones, and those with a name."""

    plain: list[str]
    named: dict[str, str]

    def take(self, name: str, default: str = "") -> str:
        """A named word, once."""
        return self.named.pop(name, default)

    def rest(self) -> list[str]:
        """The plain words that are left."""
        rest, self.plain = self.plain, []
        return rest

    def take_list(self, name: str) -> list[str]:
        """A named word's parts; a single one needs no parentheses."""
        return self.take(name).strip("()").split()

    def take_nodes(self, name: str) -> list[int]:
        """A named list of nodes."""
        return [node_id(it) for it in self.take_list(name)]


def words_of(command: str) -> tuple[str, Words]:
    """A command's name, and the words that follow it."""
    name, *rest = _WORD.findall(command)
    plain = [it for it in rest if "=" not in it]
    named = dict(it.split("=", 1) for it in rest if "=" in it)
    return name, Words(plain, named)
