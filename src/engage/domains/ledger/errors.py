"""Expected refusals of the ledger."""

from __future__ import annotations

from engage.base.errors import Refusal


class InsufficientPoints(Refusal):
    """The member has `available` points where `required` are needed."""

    code = "INSUFFICIENT_POINTS"


class MemberNotActive(Refusal):
    """The member's `state` lets no points move this way."""

    code = "MEMBER_NOT_ACTIVE"
