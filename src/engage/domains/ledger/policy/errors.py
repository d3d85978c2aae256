"""Expected refusals of policies."""

from __future__ import annotations

from engage.base.errors import Refusal


class PreviewOutdated(Refusal):
    """What was shown is not what would be done: a day has passed, or version `in_force` holds by now."""

    code = "PREVIEW_OUTDATED"
