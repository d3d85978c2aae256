"""Why a subscription is refused or has ended. The API maps each to a close code.

Refusal
├── TooManySubscribers  this process serves as many as it may
└── SubscriptionEnded   it was running and was ended from here; resume after the last cursor
    ├── TooSlow         the client fell too far behind
    └── GoingAway       this process is shutting down
"""

from __future__ import annotations

from engage.base.errors import Refusal


class TooManySubscribers(Refusal):
    """The hub has as many subscribers as the setting allows."""

    code = "TOO_MANY_SUBSCRIBERS"


class SubscriptionEnded(Refusal):
    """A running subscription was ended by the server."""

    code = "SUBSCRIPTION_ENDED"


class TooSlow(SubscriptionEnded):
    """The client took deliveries more slowly than they came, and they may not be merged."""

    code = "TOO_SLOW"


class GoingAway(SubscriptionEnded):
    """The hub is closed or closing."""

    code = "GOING_AWAY"
