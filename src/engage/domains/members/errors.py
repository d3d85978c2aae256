"""Expected refusals of members."""

from __future__ import annotations

from engage.base.errors import Refusal


class IdentityTaken(Refusal):
    """Another member is known under this identity."""

    code = "IDENTITY_TAKEN"


class AlreadyExists(Refusal):
    """A program, store or channel of this code is there already."""

    code = "ALREADY_EXISTS"


class UnknownChannel(Refusal):
    """No channel of this code; `known` lists those there are."""

    code = "UNKNOWN_CHANNEL"


class UnknownMember(Refusal):
    """Nobody is known under this identity, and purchases may not register new members here."""

    code = "UNKNOWN_MEMBER"
