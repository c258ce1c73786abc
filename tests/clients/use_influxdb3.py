"""What people use of `influxdb3-python` to write, against the endpoint that is the first argument.

What it reads with is Arrow Flight and InfluxDB's SQL, which Roost has not.
"""

import sys

from influxdb_client_3 import (
    SYNCHRONOUS,
    InfluxDBClient3,
    InfluxDBError,
    Point,
    WriteOptions,
    write_client_options,
)

told: list[Exception] = []


def client(options: WriteOptions) -> InfluxDBClient3:
    return InfluxDBClient3(
        host=f"http://{sys.argv[1]}",
        database="b",
        token="t",
        enable_gzip=True,
        write_client_options=write_client_options(
            write_options=options, error_callback=lambda _conf, _data, error: told.append(error)
        ),
    )


with client(SYNCHRONOUS) as found:
    assert found.get_server_version()
    print("version")
    point = Point("room").tag("town", "Brno, south").field("heat", 21.5).field("rain", True)
    found.write(point.field("sky", "blue").time(1_700_000_000, "s"), write_precision="s")
    found.write(["room,town=Zlin heat=3i 1700000000000000000"])
    print("points")
    try:
        found.write("good f=1 1\nbad\n")
    except InfluxDBError as error:
        print("errors" if "line 2" in str(error.message) else error)

with client(WriteOptions(batch_size=500, flush_interval=100)) as found:
    for second in range(2000):
        found.write(Point("steps").field("n", second).time(second, "s"), write_precision="s")
assert not told, told
print("batches")
