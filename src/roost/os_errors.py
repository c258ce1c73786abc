"""What the operating system says, for people."""

import os


def words_of(error: OSError) -> str:
    """An error of the system without its number, and with the file first.

    Errors of modules, as TLS and the resolver have them, have numbers of their own.
    """
    if error.errno is None or type(error).__module__ != "builtins":
        return error.strerror or str(error) or "no answer in time"
    text = os.strerror(error.errno)
    # What was opened by a descriptor has its number there, which tells people nothing.
    is_named = isinstance(error.filename, str | bytes)
    return f"{os.fsdecode(error.filename)}: {text}" if is_named else text
