"""Orders from files: streaming CSV in, members, purchases and points out, batch by batch.

`lines` reads the file, `records` takes its rows apart, `columns` and `rows` make orders of them, `batches` checks
those while the database works on the batch before, `run` puts them on file, `rejects` keeps what was not imported.
"""

from engage.domains.earning.importing.rejects import default_rejects_path
from engage.domains.earning.importing.run import import_purchases
from engage.domains.earning.importing.types import FIELDS, OMISSIBLE, OPTIONAL, ImportSummary, Progress, Report

__all__ = [
    "FIELDS",
    "OMISSIBLE",
    "OPTIONAL",
    "ImportSummary",
    "Progress",
    "Report",
    "default_rejects_path",
    "import_purchases",
]
