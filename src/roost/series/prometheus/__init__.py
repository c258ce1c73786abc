"""Prometheus' interfaces to time series: remote write, remote read, and PromQL over HTTP.

Without the extra `roost[prometheus]` importing it says so (`errors.SeriesUnavailable`).
"""

from roost.series.prometheus.service import Prometheus

__all__ = ["Prometheus"]
