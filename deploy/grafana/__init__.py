"""The dashboard of Grafana."""
