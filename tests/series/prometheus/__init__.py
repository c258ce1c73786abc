"""Prometheus' interfaces: PromQL against a model, requests as clients send them."""
