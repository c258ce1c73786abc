"""How commands end: a code for each thing that a script would do something else about."""

DONE = 0
# Of commands that ask: not found, not healthy, gone.  Of `serve`: it could not start.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4
# As sysexits.h has them.
EXIT_BUG, EXIT_LOCKED, EXIT_DEVICE = 70, 73, 74
# What was held is lost; EX_TEMPFAIL: another try may do better.
LEASE_LOST = 75
# As a shell has it for SIGINT.
EXIT_INTERRUPTED = 130

OF_COMMANDS = {
    DONE: "done; also when a command that goes on until it is interrupted (`watch`, `mirror`) is",
    EXIT_FAILED: "the answer is no: no such key, an unhealthy member, a lease that is gone, a row "
    "of `doctor` that has failed",
    EXIT_USAGE: "an option, argument or file cannot be used; nothing was asked",
    EXIT_REFUSED: "the cluster refused, with its reason: rights, limits, what must be there first",
    EXIT_UNREACHABLE: "no endpoint answered, or not in time; a write may have happened or not",
    EXIT_DEVICE: "standard output or a file could not be written, as on a full disk",
    LEASE_LOST: "`lock`, `elect`, `lease keep-alive`: what was held is lost",
    EXIT_INTERRUPTED: "interrupted before it was done",
}
OF_SERVE = {
    DONE: "stopped by a signal, in order; or removed from the cluster, for good",
    EXIT_FAILED: "could not start: an address in use, a wrong cluster",
    EXIT_USAGE: "a setting cannot be used",
    EXIT_BUG: "a bug: an assertion of ours failed",
    EXIT_LOCKED: "another process uses the data directory",
    EXIT_DEVICE: "the disk failed, holds what it must not, or did not answer during a stop; or "
    "there is too little memory",
    EXIT_INTERRUPTED: "interrupted before it served",
}
