"""Why a question of Prometheus' has no answer; the names are those of its `errorType`."""

from roost.errors import CallerFault


class BadQuery(CallerFault):
    """A query, a parameter or a body is none: 400, `bad_data`."""


class NotInSubset(CallerFault):
    """PromQL that is right, and that Roost does not answer: 422, `execution`."""


class QueryFailed(CallerFault):
    """A query that cannot be carried out on what there is: 422, `execution`."""


class QueryTooLarge(CallerFault):
    """A query would touch more than is allowed: 422, `execution`; ask for less."""


class QueryTimeout(CallerFault):
    """A query took longer than it may: 503, `timeout`."""
