"""A `roost` whose store writes nothing for being old, to be run by tests."""

from functools import partial

from roost.cli import main
from roost.member.directory import home

if __name__ == "__main__":
    home.StoreConfig = partial(home.StoreConfig, flush_age_s=1e9)  # type: ignore[assignment,attr-defined]  # made so
    main()
