"""What people use of `influxdb-client`, against the endpoint that is the first argument."""

import sys

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.rest import ApiException

client = InfluxDBClient(url=f"http://{sys.argv[1]}", token="t", org="o", enable_gzip=True)
assert client.ping()
print("ping")

with client.write_api(write_options=SYNCHRONOUS) as api:
    point = Point("weather").tag("town", "Brno, south").field("heat", 21.5).field("rain", True)
    api.write(bucket="b", record=point.field("sky", "blue").time(1_700_000_000, WritePrecision.S))
    api.write(bucket="b", record=["weather,town=Zlin heat=3i 1700000000000000000"])
print("points")

told = []
with client.write_api(
    write_options=WriteOptions(batch_size=500, flush_interval=100),
    error_callback=lambda _conf, _data, error: told.append(error),
) as api:
    for second in range(2000):
        point = Point("many").field("n", second).time(second, WritePrecision.S)
        api.write(bucket="b", record=point, write_precision=WritePrecision.S)
assert not told
print("batches")

with client.write_api(write_options=SYNCHRONOUS) as api:
    try:
        api.write(bucket="b", record="good f=1 1\nbad\n")
    except (ApiException, InfluxDBError) as error:
        print("errors" if "line 2" in str(error.message) else error)
client.close()
