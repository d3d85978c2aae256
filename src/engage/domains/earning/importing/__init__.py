"""Orders from files: streaming CSV in, members, purchases and points out, batch by batch.

`asking` checks a file and asks for the job, `here` does that and runs it in this process. Of the job, `rows` makes
orders of a row's texts, `run` puts them on file, `tally` counts. What is the same for any file is in `csvfiles`.
"""

from engage.domains.earning.csvfiles.rejects import default_rejects_path
from engage.domains.earning.importing.asking import request_import
from engage.domains.earning.importing.here import import_here
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
