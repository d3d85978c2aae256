"""All reads of promised work, for those who run engage: the pieces, the figures of their lanes, the schedules."""

from engage.outbox.queries.figures import FIGURES_MAX, list_lanes
from engage.outbox.queries.listing import RUNNING_MAX, get_job, list_jobs, list_running
from engage.outbox.queries.reading import LANES_MAX, check_kind, find_records
from engage.outbox.queries.results import RESULTS_MAX, list_results
from engage.outbox.queries.schedules import LATE_AFTER, list_schedules

__all__ = [
    "FIGURES_MAX",
    "LANES_MAX",
    "LATE_AFTER",
    "RESULTS_MAX",
    "RUNNING_MAX",
    "check_kind",
    "find_records",
    "get_job",
    "list_jobs",
    "list_lanes",
    "list_results",
    "list_running",
    "list_schedules",
]
