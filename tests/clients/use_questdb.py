"""What people use of `questdb` to write, against the endpoint that is the first argument."""

import sys

from questdb import QuestDBError, Sender, TimestampNanos

SECOND_NS = 1_000_000_000
with Sender.from_conf(f"http::addr={sys.argv[1]};token=t;auto_flush_rows=500;") as sender:
    sender.row(
        "house",
        symbols={"town": "Brno, south"},
        columns={"heat": 21.5, "rain": True, "steps": 3, "sky": "blue"},
        at=TimestampNanos(1_700_000_000 * SECOND_NS),
    )
    sender.flush()
    print("rows")
    for second in range(2000):
        sender.row("walks", columns={"n": second}, at=TimestampNanos(second * SECOND_NS))
print("batches")

with Sender.from_conf(f"http::addr={sys.argv[1]};retry_timeout=0;") as sender:
    # It lets a column have any name; ours have a bound (docs/reference/series.md).
    sender.row(
        "house", columns={"n" * 127: 1.0}, symbols={"x" * 100: "y" * 70_000}, at=TimestampNanos(1)
    )
    try:
        sender.flush()
    except QuestDBError as error:
        print("errors" if "line 1" in str(error) else error)
