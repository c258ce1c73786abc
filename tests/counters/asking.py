"""Counters of a real member, asked over HTTP."""

import http.client
import json
from collections.abc import Sequence
from typing import Any

from roost.testing.patience import PATIENCE_S


def ask(
    endpoint: str,
    method: str,
    target: str,
    said: object = None,
    *,
    timeout_s: float = PATIENCE_S,
    **headers: str,
) -> tuple[int, Any]:
    """Status, and what the body says."""
    connection = http.client.HTTPConnection(endpoint, timeout=timeout_s)
    fields = {name.replace("_", "-"): it for name, it in headers.items()}
    try:
        body = None if said is None else json.dumps(said)
        connection.request(method, target, body, fields)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def reads_of(endpoint: str, names: Sequence[str]) -> dict[str, int]:
    """What a member reads; nothing while it does not serve."""
    query = "&".join(f"id={it}" for it in names)
    try:
        status, values = ask(endpoint, "GET", f"/counters/read?{query}")
    except OSError:
        return {}
    return dict(values) if status == 200 else {}
