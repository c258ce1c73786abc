"""Requests on their way: batched, forwarded, read, made durable."""
