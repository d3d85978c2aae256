"""What a bearer came with: a token or an API key that was found to be good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engage.base.actor import Actor


class Mark(StrEnum):
    """What a grant can be revoked by."""

    TOKEN = "TOKEN"  # noqa: S105 -- a word, no secret
    """One token, by its claim `jti`."""

    SUBJECT = "SUBJECT"
    """All tokens of a subject that were issued by then."""

    MEMBER = "MEMBER"
    """All tokens of a member that were issued by then."""

    KEY = "KEY"
    """An API key."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who it is and until when it holds. `credential` names the token or key in records, and is no secret."""

    actor: Actor
    issued_at: datetime
    holds_until: datetime
    credential: str | None
    marks: tuple[tuple[Mark, str], ...]


def grant_of_token(actor: Actor, issued_at: datetime, holds_until: datetime, token_id: str | None) -> Grant:
    """The grant of a token; without an id it can be revoked by its subject alone."""
    marks = [(Mark.SUBJECT, actor.id)]
    if actor.member_id is not None:
        marks.append((Mark.MEMBER, str(actor.member_id)))
    if token_id is not None:
        marks.append((Mark.TOKEN, token_id))
    return Grant(actor, issued_at, holds_until, token_id and f"token:{token_id}", tuple(marks))
