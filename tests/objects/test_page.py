"""The page about objects does what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.database.said import said_by

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "objects.md"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, said_by(done.stderr)) == (0, "")
