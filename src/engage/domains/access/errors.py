"""Expected refusals of access."""

from __future__ import annotations

from engage.base.errors import Refusal


class TooManyApiKeys(Refusal):
    """There are as many API keys as there may be: `limit`."""

    code = "TOO_MANY_API_KEYS"
