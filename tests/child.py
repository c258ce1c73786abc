"""A process that does what it is told; for tests of `roost.children`."""

import os
import signal
import sys


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["say", text]:
            sys.stdout.write(text + "\n")
        case ["raise"]:
            raise SystemExit(1)
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["wait"]:
            signal.pause()
        case ["lend"]:  # what it would say to somebody else
            os.fork()
            signal.pause()
