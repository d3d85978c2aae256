"""What docs/webhooks.md says about verifying works as written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.docs.blocks import blocks_of
from tests.house.repository import ROOT
from tests.webhooks.receivers import receiving
from tests.webhooks.telling import carry_out, happen, subscribe


@pytest.mark.usefixtures("ready")
async def test_a_receiver_that_does_as_the_page_says_knows_what_is_ours() -> None:
    [block] = [one for one in blocks_of(ROOT / "docs" / "webhooks.md") if one.info == "python"]
    scope: dict[str, Any] = {}
    exec(block.text, scope)  # noqa: S102 -- the page's own example
    verified = cast("Callable[[str, dict[str, str], bytes], bool]", scope["verified"])
    async with receiving() as receiver:
        made, other = await subscribe(receiver), await subscribe(receiver)
        await happen()
        await carry_out()
        for delivery in receiver.deliveries:
            known = [verified(one.secret, delivery.headers, delivery.body) for one in (made, other)]
            assert sorted(known) == [False, True]
            assert not verified(made.secret, delivery.headers, delivery.body + b" ")
            old = delivery.headers | {"webhook-timestamp": "1"}
            assert not verified(made.secret, old, delivery.body)
