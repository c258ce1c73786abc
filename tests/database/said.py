"""What a program said on standard error, but for what only a busy machine makes a member say."""

OF_A_BUSY_MACHINE = ("the loop was held for", "held the member up for")


def said_by(stderr: str) -> str:
    """The lines that say something of the program itself."""
    lines = stderr.splitlines(keepends=True)
    return "".join(it for it in lines if not any(word in it for word in OF_A_BUSY_MACHINE))
