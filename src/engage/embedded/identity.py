"""As whom the servers run. PostgreSQL refuses root, and a user without a name."""

import os
import pwd
from typing import Final

from engage.embedded import errors
from engage.embedded.folder import Folder
from engage.embedded.process import SAME_USER, RunAs
from engage.embedded.wheels import Binaries, postgres_major

UNPRIVILEGED: Final = "nobody"


def choose(folder: Folder, binaries: Binaries) -> tuple[RunAs, int]:
    """Return as whom both servers run, and PostgreSQL's major version, which is asked as that user.

    An ordinary user: as is. Root, or a user whom the machine has no name for (a container may have such):
    in a user namespace, where the servers appear as `nobody` and have none of root's powers, while their
    files stay the caller's. Where namespaces are refused, root's servers become `nobody` and get the folder.

    Raises BinariesUnusable, NoUserForServers.
    """
    root = os.geteuid() == 0
    if not root and _has_name(os.geteuid()):
        return SAME_USER, postgres_major(binaries, folder, SAME_USER)
    user = _unprivileged_user()
    candidates = [RunAs("map", user.pw_uid, user.pw_gid)]
    if root:
        candidates.append(RunAs("become", user.pw_uid, user.pw_gid))
    refusals = []
    for run_as in candidates:
        give_folder(folder, run_as)
        try:
            return run_as, postgres_major(binaries, folder, run_as)
        except errors.BinariesUnusable as error:
            refusals.append(str(error))
    raise errors.NoUserForServers(
        f"PostgreSQL refuses to run as {'root' if root else 'a user without a name'}, and as {user.pw_name}"
        f" it cannot: either that user may not read {binaries.postgres},"
        f" or may not reach the data folder {folder.path}."
        " Start engage as an ordinary user, or set ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL to servers of your own."
        f" Tried: {' / '.join(refusals)}"
    )


def give_folder(folder: Folder, run_as: RunAs) -> None:
    """Give all that is in the folder to the servers' user; only root can, and only root needs to."""
    if os.geteuid() != 0:
        return
    if run_as.how == "become":
        folder.give_to(run_as.uid, run_as.gid)
    else:
        folder.give_to(os.geteuid(), os.getegid())


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _unprivileged_user() -> pwd.struct_passwd:
    """Return `nobody`, else any user who is not root: it must have a name, and nothing else matters."""
    users = sorted(pwd.getpwall(), key=lambda user: user.pw_name != UNPRIVILEGED)
    for user in users:
        if user.pw_uid != 0:
            return user
    raise errors.NoUserForServers(
        "PostgreSQL refuses to run as root, and this machine knows no other user. Add one, or set"
        " ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL to servers of your own."
    )
