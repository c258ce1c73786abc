"""All that time series ask of the member that leads, by name."""

from roost.database import Operation
from roost.series import describing, jobs, notes, registry, retention, staging

DECLARE = Operation("roost.series_declare", registry.declare)
TAG = Operation("roost.series_tag", registry.tag)
DEDUP = Operation("roost.series_dedup", registry.dedup)
DELETE_SERIES = Operation("roost.series_delete", registry.delete_series)
DELETE_POINTS = Operation("roost.series_delete_points", registry.delete_points)
DELETE_MANY = Operation("roost.series_delete_many", registry.delete_many)
THIN = Operation("roost.series_thin", registry.thin)
BEGIN_JOB = Operation("roost.series_begin_job", jobs.begin_job)
STEP_JOB = Operation("roost.series_step_job", jobs.step_job)
CANCEL_JOB = Operation("roost.series_cancel_job", jobs.cancel_job)
KEEP = Operation("roost.series_keep", retention.keep)
NOTE = Operation("roost.series_note", notes.note)
APPEND = Operation("roost.series_append", staging.append)
FREEZE = Operation("roost.series_freeze", staging.freeze)
PUT_BLOCKS = Operation("roost.series_put_blocks", staging.put_blocks)
DESCRIBE = Operation("roost.series_describe", describing.describe)
OPERATIONS = {it.name: it for it in list(vars().values()) if isinstance(it, Operation)}
