"""How a test waits for what other processes do: it looks again and again, for so long.

Another process rings no bell when it serves, elects or ends, so somebody has to look.  This is
the one place that does, and the only one in tests and campaigns that sleeps: whoever waits says
what for, and goes on as soon as it is there.
"""

import time
from collections.abc import Callable

# How long a test waits for what must come, on a machine that may be busy with much else.
PATIENCE_S = 120.0
_LOOK_S = 0.01


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Look again and again until `condition` holds.

    Raises:
        TimeoutError: it does not in time.

    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come true within {timeout_s} s")
        time.sleep(_LOOK_S)
