"""Programs of pages and examples, run as a reader runs them, and what they say.

Of standard error, that is without what only a busy machine makes a member say.
"""

import re
import subprocess
import sys
from pathlib import Path

OF_A_BUSY_MACHINE = ("the loop was held for", "held the member up for")
# Where members of one program come and go; each says whom it cannot reach.
OF_ITS_PEERS = ("cannot be reached at", "a peer at 127.0.0.1 was refused")


def said_by(stderr: str) -> str:
    """The lines that say something of the program itself."""
    lines = stderr.splitlines(keepends=True)
    return "".join(it for it in lines if not any(word in it for word in OF_A_BUSY_MACHINE))


def run_page(page: Path, directory: Path, *, blocks: int, members: int = 1) -> None:
    """Run all of a page's Python, of which there are so many blocks, from top to bottom.

    It says nothing; of several `members` each may say whom of the others it does not reach.
    """
    found = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(found) == blocks
    script = directory / "page.py"
    script.write_text("\n".join(found))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
    )
    lines = said_by(done.stderr).splitlines()
    said = [it for it in lines if members == 1 or not any(word in it for word in OF_ITS_PEERS)]
    assert (done.returncode, said) == (0, [])


def said_to(example: Path, directory: Path, lines: str) -> str:
    """What an example answers to lines, in a directory of data; it ends well and silently."""
    done = subprocess.run(
        [sys.executable, str(example), str(directory)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said_by(done.stderr)) == (0, "")
    return done.stdout
