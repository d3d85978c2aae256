"""Orders from files: streaming CSV in, members, purchases and points out, batch by batch.

`asking` checks a file and asks for the job, `here` does that and runs it in this process. Of the job, `lines` reads
the file, `records` takes its rows apart, `columns` and `rows` make orders of them, `batches` checks those while the
database works on the batch before, `run` puts them on file, `tally` counts; `rejects` writes what was not imported.
"""

from engage.domains.earning.importing.asking import request_import
from engage.domains.earning.importing.here import import_here
from engage.domains.earning.importing.rejects import default_rejects_path
from engage.domains.earning.importing.types import FIELDS, OMISSIBLE, OPTIONAL, ImportSummary, Instructions

__all__ = [
    "FIELDS",
    "OMISSIBLE",
    "OPTIONAL",
    "ImportSummary",
    "Instructions",
    "default_rejects_path",
    "import_here",
    "request_import",
]
