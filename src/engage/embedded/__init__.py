"""PostgreSQL and Valkey from wheels, as children of the calling process: real servers, nothing to install.

Owns the data folder (see `folder`), the life of both servers (`services`), and the way in which any child
process is tied to this one (`process`, of use to `engage dev` for gateway and worker too). Says nothing and
needs nothing from the rest of engage: it hands out URLs, and whatever speaks to a real PostgreSQL and a
real Redis speaks to these.

    with running(Path(".engage")) as services:
        ...  # services.database_url, services.redis_url

Linux and macOS. Servers listen on 127.0.0.1 alone, with random passwords that are kept in the folder.
"""

from engage.embedded.errors import (
    BinariesUnusable,
    DiskFull,
    EmbeddedError,
    FolderDamaged,
    FolderForeign,
    FolderInUse,
    FolderNotWritable,
    LayoutNewer,
    NotInstalled,
    NoUserForServers,
    PortUnavailable,
    PostgresNewer,
    PostgresOlder,
    ServerFailed,
)
from engage.embedded.services import Services, running

__all__ = [
    "BinariesUnusable",
    "DiskFull",
    "EmbeddedError",
    "FolderDamaged",
    "FolderForeign",
    "FolderInUse",
    "FolderNotWritable",
    "LayoutNewer",
    "NoUserForServers",
    "NotInstalled",
    "PortUnavailable",
    "PostgresNewer",
    "PostgresOlder",
    "ServerFailed",
    "Services",
    "running",
]
