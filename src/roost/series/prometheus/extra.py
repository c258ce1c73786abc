"""The packages of the extra `roost[prometheus]`; only this room imports them.

cramjam        Snappy, in which remote write and read are packed
promql_parser  the parser of PromQL that GreptimeDB uses, in Rust
re2            regular expressions whose time is bounded by the text's length, as in Prometheus
"""

from roost.extras import command_for
from roost.series.errors import SeriesUnavailable

try:
    import promql_parser
    import re2
    from cramjam import DecompressionError, snappy
except ImportError as error:
    raise SeriesUnavailable(
        f"Prometheus' interfaces need cramjam, google-re2 and promql-parser, and {error.name} is "
        f"not installed where the member runs: {command_for('prometheus')}, and start it again"
    ) from error

__all__ = ["DecompressionError", "promql_parser", "re2", "snappy"]
