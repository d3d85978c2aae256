"""What is kept of a command: who did what to whom, from where, with which result (docs/adr/0025).

An entry is opened by the outermost command with an actor (`engage.base.db`), and learns while that runs. It holds ids
and codes, never what people have typed. Its row is written in the command's own transaction; of a command that did
not come to its end, after that.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

import orjson
import structlog

from engage.base import clock
from engage.base.actor import Actor
from engage.base.errors import OutcomeUnknown, Refusal
from engage.base.ids import id_text, new_id
from engage.base.origin import origin
from engage.base.pool import OUTAGES

F = TypeVar("F", bound=Callable[..., Any])

OK = "OK"
REPLAYED = "REPLAYED"
"""The first answer under the idempotency key, given again: nothing was changed."""
FAILED = "FAILED"

CODES = frozenset({"program", "from_program", "to_program", "kind"})
"""Arguments that hold codes of ours; all else that is no id may be what somebody has typed."""

SUBJECTS_MAX = 100  # of a list of ids
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

COLUMNS = (
    "id", "at", "actor", "role", "via", "command", "subjects", "member_id", "result", "request_id", "address",
    "credential",
)  # fmt: skip
INSERT = f"INSERT INTO audit_log ({', '.join(COLUMNS)}) VALUES ($1,$2,$3,$4,$5,$6,$7::jsonb,$8,$9,$10,$11,$12)"  # noqa: S608 -- our names

logger = structlog.get_logger(__name__)


class Entry:
    """One command on its way. `written`: its row stands, if its transaction does."""

    __slots__ = ("actor", "command", "member_id", "result", "subjects", "task", "written")

    def __init__(self, actor: Actor, command: str, subjects: dict[str, object]) -> None:
        self.actor = actor
        self.command = command
        self.subjects = subjects
        member_id = subjects.get("member_id")
        self.member_id = member_id if isinstance(member_id, UUID) else None
        self.result = OK
        self.written = False
        self.task = asyncio.current_task()

    def learn(self, answer: object) -> None:
        """Take from an answer whom it was about, what it made and whether it was given before; a refusal's code."""
        if isinstance(answer, Refusal):
            self.result = answer.code
            return
        member_id = getattr(answer, "member_id", None)
        if isinstance(member_id, UUID):
            self.member_id = member_id
        if getattr(answer, "replayed", False):
            self.result = REPLAYED
        for name in ("id", "transfer_id"):  # of what it has made, where its arguments do not name that
            made = getattr(answer, name, None)
            if isinstance(made, UUID) and made not in (*self.subjects.values(), self.member_id):
                self.subjects.setdefault(name, made)

    def values(self) -> tuple[object, ...]:
        """The row, as INSERT takes it."""
        came, actor = origin(), self.actor
        return (
            new_id(), clock.now(), actor.id, actor.role, came.via, self.command, self._subjects(), self.member_id,
            self.result, came.request_id, came.address, came.credential,
        )  # fmt: skip

    def carried(self) -> tuple[object, ...]:
        """What a statement that is the whole command needs to write the row itself; see `CARRIED`."""
        came = origin()
        return (
            new_id(), self.actor.role, came.via, self.command, self._subjects(), self.member_id, came.request_id,
            came.address, came.credential,
        )  # fmt: skip

    def _subjects(self) -> str:
        return orjson.dumps(self.subjects, default=id_text).decode()

    def ends(self, error: BaseException) -> bool:
        """Note how the command has failed; answers whether that is still to be written."""
        result = result_of(error)
        known, self.result = self.written and self.result == result, result
        return not known

    def log_lost(self, error: BaseException) -> None:
        """Say it in the log, where the database cannot be told."""
        told = {
            name: value if value is None else str(value) for name, value in zip(COLUMNS, self.values(), strict=True)
        }
        logger.error("audit.not_written", reason=type(error).__name__, **told)


CARRIED = 9
"""How many values `Entry.carried` has; that many NULL say that nothing is to be written."""

present: ContextVar[Entry | None] = ContextVar("engage_audit_entry", default=None)
_begun: ContextVar[bool] = ContextVar("engage_command_begun", default=False)


def current() -> Entry | None:
    """The entry of the command that this task carries out; None outside of any, and in tasks that it has started."""
    entry = present.get()
    return entry if entry is not None and entry.task is asyncio.current_task() else None


def unwritten() -> Entry | None:
    """The same as long as its row is not written."""
    entry = current()
    return None if entry is None or entry.written else entry


def learn(answer: object) -> None:
    """Have the present command's entry learn from an answer that is not the command's own (`Entry.learn`)."""
    entry = current()
    if entry is not None:
        entry.learn(answer)


def about(member_id: UUID) -> None:
    """Say whom the present command is about, where neither its arguments nor its answer do."""
    entry = current()
    if entry is not None:
        entry.member_id = member_id


def named(name: str) -> Callable[[F], F]:
    """Have a command recorded under another name than its function's: that which people know it by."""

    def mark(call: F) -> F:
        call.recorded_as = name  # type: ignore[attr-defined]
        return call

    return mark


def expect_command() -> None:
    """Forget that a command has begun in this task, so that `has_begun` tells of the next one."""
    _begun.set(False)


def has_begun() -> bool:
    """Whether a command with an actor has begun since, whatever became of it."""
    return _begun.get()


def opener(call: Callable[..., Any]) -> Callable[[tuple[object, ...], dict[str, Any]], Entry | None]:
    """What makes an entry of a command's arguments; it answers None for what is not recorded.

    That is what has no actor (machinery), and what is part of another command.
    """
    names = tuple(inspect.signature(call).parameters)
    name: str = getattr(call, "recorded_as", call.__name__.strip("_"))
    if names[:1] != ("actor",):
        return lambda _args, _kwargs: None

    def begin(args: tuple[object, ...], kwargs: dict[str, Any]) -> Entry | None:
        actor = args[0] if args else kwargs.get("actor")
        if not isinstance(actor, Actor) or current() is not None:
            return None
        _begun.set(True)
        given = kwargs if len(args) < 2 else dict(zip(names, args, strict=False)) | kwargs  # noqa: PLR2004
        return Entry(actor, name, _subjects_of(given))

    return begin


def _subjects_of(given: dict[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in given.items():
        if isinstance(value, UUID) or (name in CODES and isinstance(value, str) and _CODE.fullmatch(value)):
            found[name] = value
        elif isinstance(value, list | tuple) and value and all(isinstance(one, UUID) for one in value):
            found[name] = value[:SUBJECTS_MAX]
    return found


def result_of(error: BaseException) -> str:
    """The code of a refusal; whether it is known at all that nothing was changed; else FAILED."""
    if isinstance(error, Refusal):
        return error.code
    if isinstance(error, (asyncio.CancelledError, TimeoutError, *OUTAGES)):
        return OutcomeUnknown.code
    return FAILED
