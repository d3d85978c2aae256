from __future__ import annotations

import base64

import pytest

from engage.base.errors import InvalidInput
from engage.base.paging import encode_cursor
from engage.realtime.cursor import Cursor


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor("member:018f", 2**63 - 1, "a1b2c3")
    assert Cursor.decode(cursor.encode()) == cursor
    assert Cursor.decode(Cursor("order:x", 0, "").encode()) == Cursor("order:x", 0, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "!!!!",
        "A" * 10_000,
        encode_cursor(1, 2),
        encode_cursor("member:1", "2", "e"),
        encode_cursor("member:1", 2),
        encode_cursor("member:1", 2, "e", 3),
        encode_cursor("member:1", -1, "e"),
        encode_cursor("member:1", 2**63, "e"),
        base64.urlsafe_b64encode(b'["member:1", true, "e"]').decode(),
        base64.urlsafe_b64encode(b'{"a": 1}').decode(),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
    ],
)
def test_other_texts_are_refused_naming_the_argument(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Cursor.decode(text)
    assert refused.value.path == ["after"]
    assert "cursor of a subscription" in refused.value.message
