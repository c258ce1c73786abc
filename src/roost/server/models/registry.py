"""All data models that a member serves, in the order in which they start and stop."""

from roost.server.models.counters import COUNTERS
from roost.server.models.dashboard import DASHBOARD
from roost.server.models.etcd import ETCD
from roost.server.models.model import DataModel
from roost.server.models.programs import PROGRAMS
from roost.server.models.series import SERIES

MODELS: tuple[DataModel, ...] = (ETCD, PROGRAMS, SERIES, COUNTERS, DASHBOARD)
