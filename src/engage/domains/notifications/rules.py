"""From a message's code and figures to words in the reader's language."""

from __future__ import annotations

from datetime import date

from engage.base.texts import plural_text, text
from engage.domains.notifications.types import MessageCode, MessageRecord, Words


def words(message: MessageRecord, locale: str) -> Words:
    """Title and body in the shipped language nearest to `locale`."""
    params = message.params
    match message.code:
        case MessageCode.POINTS_EXPIRING:
            amount = int(str(params["amount"]))
            return Words(
                title=plural_text(
                    locale,
                    "{amount} point of {program} expires on {date}",
                    "{amount} points of {program} expire on {date}",
                    amount,
                    amount=amount,
                    program=params["program"],
                    date=date.fromisoformat(str(params["expires_on"])),
                ),
                body=text(locale, "Use them before then: what is not spent by the end of the day before is lost."),
            )
