"""How a test waits for what other processes do: it looks again and again, for so long.

Another process rings no bell when it serves, elects or ends, so somebody has to look.  This is
the one place that does, and the only one in tests and campaigns that sleeps: whoever waits says
what for, and goes on as soon as it is there.
"""

import time
from collections.abc import Callable

# How long a test waits for what must come, on a machine that may be busy with much else.
PATIENCE_S = 120.0
# How often it looks.  A look may cost a connection, and takes the processor from who is waited for.
_LOOK_S_MIN, _LOOK_S_MAX, _LOOK_GROWTH = 0.01, 0.1, 1.1


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Look again and again until `condition` holds.

    Raises:
        TimeoutError: it does not in time.

    """
    deadline, look_s = time.monotonic() + timeout_s, _LOOK_S_MIN
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come true within {timeout_s} s")
        time.sleep(look_s)
        look_s = min(look_s * _LOOK_GROWTH, _LOOK_S_MAX)
