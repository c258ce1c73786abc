"""`python -m roost.testing.pressure.act ROW TARGET [SECONDS]`: a process that does what a row says.

It tells the campaign that started it what happens, a line of JSON each: `began` and `ended` are
moments of the clock that all processes of a machine share.  With SECONDS it begins anew until
then.  It ends with whoever started it (`roost.children.run`).
"""

import json
import sys
import time

from roost.testing.pressure.rows import ROWS
from roost.testing.pressure.target import Target


def say(**told: object) -> None:
    """Tell the campaign something."""
    print(json.dumps(told), flush=True)


def main() -> None:
    """Do it; a failure is told, and is no failure of this process."""
    row, target = ROWS[sys.argv[1]], Target.decoded(sys.argv[2])
    until_s = time.monotonic() + float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    while True:
        try:
            facts = row.act(target, lambda: say(began=time.monotonic()))
        except Exception as error:  # noqa: BLE001 - whatever it is, the row has failed
            said = f"{type(error).__name__}: {error}"
            say(ended=time.monotonic(), error=" ".join(said.split())[:300], facts={})
        else:
            say(ended=time.monotonic(), error="", facts=facts)
        if time.monotonic() >= until_s:
            return


if __name__ == "__main__":
    main()
