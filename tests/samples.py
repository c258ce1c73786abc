"""How much of a campaign the suite runs: a sample of each, the same in every run.

`ROOST_SAMPLES=10` is for ten times as much; docs/reliability.md says of what.  Of properties, whose
examples are drawn anew in each run, it is how many are drawn.
"""

import os

SAMPLES = int(os.environ.get("ROOST_SAMPLES", "1"))
