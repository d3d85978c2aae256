"""Enums of the domains, made known to GraphQL. Annotations name the domains' own classes."""

from __future__ import annotations

import strawberry

from engage.domains.ledger.types import TransferKind
from engage.domains.members.types import MemberState
from engage.domains.notifications.types import MessageCode

strawberry.enum(TransferKind, description="What a transfer does.")
strawberry.enum(MemberState, description="What a member may do: only an ACTIVE one moves points.")
strawberry.enum(MessageCode, description="What a message is about.")

__all__ = ["MemberState", "MessageCode", "TransferKind"]
