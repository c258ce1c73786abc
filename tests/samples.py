"""How much of a campaign the suite runs: a sample of each, the same in every run.

`ROOST_SAMPLES=10 python -m pytest tests/sim tests/fuzz` runs ten times as much; docs/reliability.md
has what was run so, and the commands of campaigns that are larger still.
"""

import os

SAMPLES = int(os.environ.get("ROOST_SAMPLES", "1"))
