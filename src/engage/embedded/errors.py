"""What can keep the embedded servers from starting. Each message is a sentence that says what to do.

EmbeddedError
├── NotInstalled        the wheels are not there
├── BinariesUnusable    the binaries do not run on this machine
├── NoUserForServers    PostgreSQL refuses this user, and no other can be had
├── FolderInUse         another process works on the data folder
├── FolderNotWritable   the data folder cannot be made or written
├── FolderForeign       the folder holds something that is not engage's
├── FolderDamaged       a part of the data folder is missing or unreadable
├── LayoutNewer         a newer engage wrote the data folder
├── PostgresNewer       a newer PostgreSQL wrote the data
├── PostgresOlder       an older PostgreSQL wrote the data
├── PortUnavailable     the port is taken or may not be opened
├── DiskFull            no space left for the data
└── ServerFailed        a server ended while starting, or took too long
"""
# ruff: noqa: N818  (errors name their condition, here as in the domains)


class EmbeddedError(Exception):
    """The embedded servers cannot start; the message says why and what to do."""


class NotInstalled(EmbeddedError):
    """The wheels that carry the servers are not installed."""


class BinariesUnusable(EmbeddedError):
    """The servers of the wheels do not run on this machine."""


class NoUserForServers(EmbeddedError):
    """PostgreSQL refuses to run as the present user, and this machine offers no other."""


class FolderInUse(EmbeddedError):
    """Another process works on the data folder."""


class FolderNotWritable(EmbeddedError):
    """The data folder cannot be made or written."""


class FolderForeign(EmbeddedError):
    """The folder holds something that engage did not put there."""


class FolderDamaged(EmbeddedError):
    """A part of the data folder is missing or unreadable."""


class LayoutNewer(EmbeddedError):
    """A newer engage wrote the data folder."""


class PostgresNewer(EmbeddedError):
    """The data were written by a PostgreSQL of a later major version than the installed one."""


class PostgresOlder(EmbeddedError):
    """The data were written by a PostgreSQL of an earlier major version than the installed one."""


class PortUnavailable(EmbeddedError):
    """The port is taken by another program, or may not be opened."""


class DiskFull(EmbeddedError):
    """No space is left for the data."""


class ServerFailed(EmbeddedError):
    """A server, or the making of its data, ended early or took too long."""
