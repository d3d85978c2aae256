"""Bulk points: many members' points given or corrected by a job, from a file or from a request.

Owns the bulk corrections that wait for a second person. `rows` reads rows and writes them, `rules` checks one,
`service` posts a batch, `run` is the job, `tally` its sums; `asking` takes requests, `deciding` is for the second
person, `here` runs a job in this process. Needs csvfiles, ledger, members.
"""

from engage.domains.earning.bulk.asking import request_file, request_rows
from engage.domains.earning.bulk.deciding import approve_bulk_points, reject_bulk_points
from engage.domains.earning.bulk.here import bulk_here
from engage.domains.earning.bulk.types import (
    LAYOUT,
    BulkAsked,
    BulkInstructions,
    BulkOperation,
    BulkRecord,
    BulkSummary,
    PointsRow,
)

__all__ = [
    "LAYOUT",
    "BulkAsked",
    "BulkInstructions",
    "BulkOperation",
    "BulkRecord",
    "BulkSummary",
    "PointsRow",
    "approve_bulk_points",
    "bulk_here",
    "reject_bulk_points",
    "request_file",
    "request_rows",
]
