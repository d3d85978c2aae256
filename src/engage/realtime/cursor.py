"""Where a subscriber stands: stream, position, and the epoch in which the position means something."""

from __future__ import annotations

from dataclasses import dataclass

from engage.base.errors import InvalidInput
from engage.base.paging import decode_cursor, encode_cursor

POSITION_MAX = 2**63 - 1  # what a bigint holds


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a stream. Clients keep the text of `encode` and pass it as `after`; it is opaque to them."""

    stream: str
    position: int
    epoch: str

    def encode(self) -> str:
        """The cursor as clients see it."""
        return encode_cursor(self.stream, self.position, self.epoch)

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """The cursor that `encode` made into `text`. Raises InvalidInput for any other text."""
        try:
            stream, position, epoch = decode_cursor(text, (str, int, str))
            if not 0 <= int(position) <= POSITION_MAX:
                raise ValueError("a position out of range")
        except (InvalidInput, ValueError) as error:
            raise InvalidInput(
                "This is not a cursor of a subscription; pass the one of the last message, or none.", path=["after"]
            ) from error
        return cls(str(stream), int(position), str(epoch))
