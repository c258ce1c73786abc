"""`/openapi.json` and `/endpoints`: what this port answers, for programs and for people.

Both hold nothing of a cluster, so they are for everybody.  They are made when somebody first asks,
in steps, and kept.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from roost.endpoint import TEXT_KIND, Endpoint
from roost.exchange import JSON, TEXT, Answer, Request, not_allowed
from roost.server.app import own_endpoint
from roost.server.openapi import Method, document, encoded, listed
from roost.slices import in_turns

OPENAPI = own_endpoint("/openapi.json", "This description of all endpoints, as OpenAPI 3.1.")
LISTED = own_endpoint("/endpoints", "The same as text: a line each.", gives=(TEXT_KIND,))
ENDPOINTS = (OPENAPI, LISTED)
# There is no body to a GET.
BODY_BYTES_MAX = 1 << 10


class Documented:
    """Answers those who ask what there is."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        calls: Mapping[str, Method],
        texts: Mapping[str, str],
        methods: Iterable[bytes],
        version: str,
    ) -> None:
        """See `openapi.document`."""
        self._steps = document((*endpoints, *ENDPOINTS), calls, texts, methods, version)
        self._making = asyncio.Lock()
        # By their paths; none before somebody has asked.
        self._answers: dict[bytes, Answer] = {}

    async def answer(self, request: Request) -> Answer:
        """Answer a request to one of ENDPOINTS."""
        if request.method != "GET":
            return not_allowed("GET")
        async with self._making:
            if not self._answers:
                made = await in_turns(self._steps)
                text = "\n".join(listed(made)).encode()
                self._answers = {
                    OPENAPI.path.encode(): Answer(200, encoded(made), (JSON,)),
                    LISTED.path.encode(): Answer(200, text, (TEXT,)),
                }
        return self._answers[request.raw_path]
