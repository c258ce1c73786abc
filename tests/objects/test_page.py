"""The page about objects does what it says."""

from pathlib import Path

import pytest

from tests.database.said import run_page

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "objects.md"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    run_page(PAGE, tmp_path, blocks=4)
