"""How each problem of each mutation of the ledger is met."""

from __future__ import annotations

from engage.api.relay import global_id
from engage.base.ids import new_id
from tests.api import ledger_scenes as scenes
from tests.api.cases import CHANNELS, FORBIDDEN, NOBODY, Case
from tests.api.clients import Json
from tests.api.conftest import Person, give
from tests.api.ledger_scenes import MOST

UNKNOWN = global_id("Transfer", new_id())
NO_HOLD = global_id("Hold", new_id())
NO_GIFT = global_id("Gift", new_id())
NO_ADJUSTMENT = global_id("Adjustment", new_id())
OF_STAFF = Case(None, role="staff")
OTHER = {"reason": "OTHER"}

MONEY_MOST = {"amount": "90071992547409.91", "currency": "USD"}


def usd(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


def erased(path: str) -> Case:
    """Who is erased moves nothing any more, not even backwards."""
    return Case([path], state="ERASED", known={"state": "ERASED"})


def full(required: int = 1, path: str = "amount", program: str = "default") -> Case:
    """The member's account has no room."""

    async def fill(member: Person) -> Json:
        await give(member.id, 1, program)
        return await scenes.fill_up(member.id, program)

    known = {"limit": MOST, "present": MOST, "required": required}
    return Case([path], known=known, arrange=fill)


def usual(
    name: str,
    *,
    invalid: Case,
    missing: Case,
    inactive: Case,
    forbidden: Case = FORBIDDEN,
    conflict: Case | None = None,
) -> dict[tuple[str, str], Case]:
    """What can stand in the way of every command that moves something."""
    return {
        (name, "InvalidInput"): invalid,
        (name, "NotFound"): missing,
        (name, "Forbidden"): forbidden,
        (name, "MemberNotActive"): inactive,
        (name, "IdempotencyConflict"): conflict or Case(["idempotencyKey"], twice=OTHER),
    }


NO_MEMBER = Case(["memberId"], {"memberId": NOBODY})
NO_PROGRAM = Case(["program"], {"program": "nowhere"})
NO_TRANSFER = Case(["transferId"], {"transferId": UNKNOWN})
UNREASONABLE = Case(["reason"], {"reason": "because"})
NOTHING = Case(["amount"], {"amount": 0})
FROZEN = Case(["memberId"], state="FROZEN", known={"state": "FROZEN"})
TOO_MUCH = Case(["amount"], {"amount": 101}, known={"available": 100, "required": 101})
OTHER_AMOUNT = Case(["idempotencyKey"], twice={"amount": 2})
TOO_MUCH_VALUE = Case(
    ["amount"],
    {"amount": "50.01"},
    known={"availableValue": usd("50.00"), "requiredValue": usd("50.01")},
)
ENDED = Case(
    ["holdId"], known={"holdState": "RELEASED", "deadline": "2099-01-01T00:00:00+00:00"}, arrange=scenes.ended_hold
)
MORE_THAN_HELD = Case(["amount"], {"amount": 11}, known={"remaining": 10, "required": 11})
MORE_VALUE_THAN_HELD = Case(
    ["value"], known={"availableValue": usd("5.00"), "requiredValue": usd("5.01")}, arrange=scenes.hold_value
)

LEDGER_CASES: dict[tuple[str, str], Case] = {
    **usual(
        "earnPoints",
        invalid=Case(["expiresAt"], {"expiresAt": "2026-01-01T00:00:00Z"}),
        missing=NO_MEMBER,
        inactive=Case(["memberId"], state="SUSPENDED", known={"state": "SUSPENDED"}),
        conflict=OTHER_AMOUNT,
    ),
    ("earnPoints", "BalanceLimit"): full(),
    **usual(
        "confirmPending",
        invalid=Case(["expiresAt"], {"expiresAt": "2020-01-01T00:00:00Z"}),
        missing=NO_TRANSFER,
        inactive=Case(["transferId"], state="CANCELLED", known={"state": "CANCELLED"}),
    ),
    ("confirmPending", "NotPending"): Case(["transferId"], known={"lotState": "OPEN"}, arrange=scenes.usable),
    **usual("cancelPending", invalid=NOTHING, missing=NO_TRANSFER, inactive=erased("transferId")),
    ("cancelPending", "NotPending"): Case(["transferId"], known={"lotState": "OPEN"}, arrange=scenes.usable),
    ("cancelPending", "NotReversible"): Case(["transferId"], known={"kind": "SPEND"}, arrange=scenes.spent),
    ("cancelPending", "ExceedsReversible"): Case(["amount"], {"amount": 11}, known={"remaining": 10, "required": 11}),
    **usual("spendPoints", invalid=NOTHING, missing=NO_PROGRAM, inactive=FROZEN),
    ("spendPoints", "InsufficientPoints"): TOO_MUCH,
    **usual(
        "donatePoints",
        invalid=Case(["goodCause"], {"goodCause": "The Forest"}),
        missing=NO_PROGRAM,
        inactive=FROZEN,
        conflict=OTHER_AMOUNT,
    ),
    ("donatePoints", "InsufficientPoints"): TOO_MUCH,
    **usual(
        "holdPoints",
        invalid=Case(["deadline"], {"deadline": "2199-01-01T00:00:00Z"}),
        missing=NO_MEMBER,
        inactive=FROZEN,
    ),
    ("holdPoints", "InsufficientPoints"): TOO_MUCH,
    **usual(
        "captureHold",
        invalid=Case(["value"], {"value": "1.00"}),
        missing=Case(["holdId"], {"holdId": NO_HOLD}),
        inactive=Case(["holdId"], state="FROZEN", known={"state": "FROZEN"}),
    ),
    ("captureHold", "HoldNotOpen"): ENDED,
    ("captureHold", "ExceedsHold"): MORE_THAN_HELD,
    ("captureHold", "InsufficientValue"): MORE_VALUE_THAN_HELD,
    **usual(
        "releaseHold",
        invalid=Case(["holdId"], {"holdId": NOBODY}),
        missing=Case(["holdId"], {"holdId": NO_HOLD, "amount": None}),
        inactive=erased("holdId"),
    ),
    ("releaseHold", "HoldNotOpen"): ENDED,
    ("releaseHold", "ExceedsHold"): MORE_THAN_HELD,
    ("releaseHold", "InsufficientValue"): MORE_VALUE_THAN_HELD,
    **usual("reverseTransfer", invalid=UNREASONABLE, missing=NO_TRANSFER, inactive=erased("transferId")),
    ("reverseTransfer", "NotReversible"): Case(["transferId"], known={"kind": "HOLD"}, arrange=scenes.held),
    ("reverseTransfer", "ExceedsReversible"): Case(
        ["amount"], {"amount": 11}, known={"remaining": 10, "required": 11}
    ),
    ("reverseTransfer", "InsufficientPoints"): Case(
        ["amount"], known={"available": 0, "required": 50}, arrange=scenes.earned_and_spent
    ),
    ("reverseTransfer", "InsufficientValue"): Case(
        ["value"],
        known={"availableValue": usd("5.00"), "requiredValue": usd("5.01")},
        arrange=scenes.pay_and_ask_for_more,
    ),
    ("reverseTransfer", "BalanceLimit"): full(),
    ("reverseTransfer", "ValueLimit"): Case(
        ["value"],
        known={"presentValue": MONEY_MOST, "limitValue": MONEY_MOST, "requiredValue": usd("1.00")},
        arrange=scenes.paid_and_full,
    ),
    **usual("clawbackPoints", invalid=NOTHING, missing=NO_MEMBER, inactive=erased("memberId")),
    ("clawbackPoints", "BalanceLimit"): Case(
        ["amount"], known={"limit": MOST, "present": MOST, "required": 100}, arrange=scenes.owing_all
    ),
    ("clawbackPoints", "InsufficientPoints"): Case(
        ["amount"], {"amount": 101, "shortfall": "REFUSE"}, known={"available": 100, "required": 101}
    ),
    **usual(
        "deductPoints",
        invalid=Case(["cause", "type"], {"cause": {"type": "", "id": "7"}}),
        missing=NO_PROGRAM,
        inactive=erased("memberId"),
        forbidden=OF_STAFF,
    ),
    ("deductPoints", "BalanceLimit"): Case(
        ["amount"], known={"limit": MOST, "present": MOST, "required": 100}, arrange=scenes.owing_all
    ),
    ("deductPoints", "InsufficientPoints"): Case(
        ["amount"], {"amount": 101, "shortfall": "REFUSE"}, known={"available": 100, "required": 101}
    ),
    **usual("restorePoints", invalid=NOTHING, missing=NO_TRANSFER, inactive=erased("transferId"), forbidden=OF_STAFF),
    ("restorePoints", "NotReversible"): Case(["transferId"], known={"kind": "SPEND"}, arrange=scenes.spent),
    ("restorePoints", "ExceedsReversible"): Case(["amount"], {"amount": 11}, known={"remaining": 10, "required": 11}),
    ("restorePoints", "BalanceLimit"): full(),
    **usual(
        "giftPoints",
        invalid=Case(["message"], {"message": "x" * 501}),
        missing=Case(["recipientId"], {"recipientId": NOBODY}),
        inactive=FROZEN,
        conflict=OTHER_AMOUNT,
    ),
    ("giftPoints", "InsufficientPoints"): TOO_MUCH,
    ("giftPoints", "GiftLimit"): Case(
        ["amount"],
        {"amount": 6},
        known={"limitKind": "DAILY_POINTS", "limit": 5, "remaining": 5},
        arrange=scenes.strict,
    ),
    ("giftPoints", "BalanceLimit"): Case(
        ["recipientId"], known={"limit": MOST, "present": MOST, "required": 1}, arrange=scenes.full_recipient
    ),
    **usual(
        "acceptGift",
        invalid=Case(["idempotencyKey"], {"idempotencyKey": ""}),
        missing=Case(["giftId"], {"giftId": NO_GIFT}),
        inactive=Case(["giftId"], state="SUSPENDED", known={"state": "SUSPENDED"}),
        conflict=Case(["idempotencyKey"], arrange=scenes.decided("decline_gift", key=True)),
    ),
    ("acceptGift", "GiftDecided"): Case(
        ["giftId"], known={"giftState": "DECLINED"}, arrange=scenes.decided("decline_gift")
    ),
    ("acceptGift", "BalanceLimit"): Case(
        ["giftId"], known={"limit": MOST, "present": MOST, "required": 5}, arrange=scenes.offered_and_full
    ),
    **usual(
        "declineGift",
        invalid=Case(["giftId"], {"giftId": NOBODY}),
        missing=Case(["giftId"], {"giftId": NO_GIFT}),
        inactive=Case(["giftId"], known={"state": "ERASED"}, arrange=scenes.given_by_one_erased),
        conflict=Case(["idempotencyKey"], arrange=scenes.decided("accept_gift", key=True)),
    ),
    ("declineGift", "GiftDecided"): Case(
        ["giftId"], known={"giftState": "ACCEPTED"}, arrange=scenes.decided("accept_gift")
    ),
    **usual(
        "withdrawGift",
        invalid=Case(["giftId"], {"giftId": NOBODY}),
        missing=Case(["giftId"], {"giftId": NO_GIFT}),
        inactive=erased("giftId"),
        conflict=Case(["idempotencyKey"], arrange=scenes.withdrawn_by_another_decision),
    ),
    ("withdrawGift", "GiftDecided"): Case(
        ["giftId"], known={"giftState": "WITHDRAWN"}, arrange=scenes.decided("withdraw_gift")
    ),
    **usual(
        "exchangePoints",
        invalid=NOTHING,
        missing=Case(["fromProgram"], {"fromProgram": "nowhere"}),
        inactive=FROZEN,
        conflict=OTHER_AMOUNT,
    ),
    ("exchangePoints", "InsufficientPoints"): TOO_MUCH,
    ("exchangePoints", "RateNotInForce"): Case(["rateId"], known={"currentRateId": None}, arrange=scenes.no_rate),
    ("exchangePoints", "BalanceLimit"): Case(
        ["amount"], known={"limit": MOST, "present": MOST, "required": 1}, arrange=scenes.full_elsewhere
    ),
    ("publishExchangeRate", "InvalidInput"): Case(["numerator"], {"numerator": 0.5}),
    ("publishExchangeRate", "NotFound"): Case(["toProgram"], {"toProgram": "nowhere"}),
    ("publishExchangeRate", "Forbidden"): FORBIDDEN,
    ("publishExchangeRate", "IdempotencyConflict"): Case(["idempotencyKey"], twice={"numerator": 4}),
    **usual("adjustPoints", invalid=NOTHING, missing=NO_MEMBER, inactive=erased("memberId"), conflict=OTHER_AMOUNT),
    ("adjustPoints", "InsufficientPoints"): Case(
        ["amount"], {"amount": -101}, known={"available": 100, "required": 101}
    ),
    ("adjustPoints", "BalanceLimit"): full(),
    ("approveAdjustment", "InvalidInput"): Case(["adjustmentId"], {"adjustmentId": NOBODY}),
    ("approveAdjustment", "NotFound"): Case(["adjustmentId"], {"adjustmentId": NO_ADJUSTMENT}),
    ("approveAdjustment", "Forbidden"): FORBIDDEN,
    ("approveAdjustment", "MemberNotActive"): erased("adjustmentId"),
    ("approveAdjustment", "SecondPersonNeeded"): Case(["adjustmentId"], arrange=scenes.asked_by_oneself),
    ("approveAdjustment", "AdjustmentDecided"): Case(
        ["adjustmentId"], known={"adjustmentState": "REJECTED"}, arrange=scenes.rejected
    ),
    ("approveAdjustment", "InsufficientPoints"): Case(
        ["adjustmentId"], known={"available": 0, "required": 11}, arrange=scenes.too_much_down
    ),
    ("approveAdjustment", "BalanceLimit"): Case(
        ["adjustmentId"], known={"limit": MOST, "present": MOST, "required": 11}, arrange=scenes.waiting_and_full
    ),
    ("rejectAdjustment", "InvalidInput"): Case(["adjustmentId"], {"adjustmentId": NOBODY}),
    ("rejectAdjustment", "NotFound"): Case(["adjustmentId"], {"adjustmentId": NO_ADJUSTMENT}),
    ("rejectAdjustment", "Forbidden"): FORBIDDEN,
    ("rejectAdjustment", "AdjustmentDecided"): Case(
        ["adjustmentId"], known={"adjustmentState": "APPROVED"}, arrange=scenes.approved
    ),
    **usual(
        "topUp",
        invalid=Case(["amount"], {"amount": "12.505"}),
        missing=Case(["store"], {"store": "nowhere"}),
        inactive=Case(["memberId"], state="SUSPENDED", known={"state": "SUSPENDED"}),
        conflict=Case(["idempotencyKey"], twice={"amount": "12.51"}),
    ),
    ("topUp", "UnknownChannel"): Case(["channel"], {"channel": "fax"}, known={"known": CHANNELS}),
    ("topUp", "PaymentUsed"): Case(["paymentReference"], arrange=scenes.paid_in_before),
    ("topUp", "ValueLimit"): Case(
        ["amount"],
        known={"presentValue": MONEY_MOST, "limitValue": MONEY_MOST, "requiredValue": usd("12.50")},
        arrange=scenes.full_of_value,
    ),
    **usual(
        "payStoredValue",
        invalid=Case(["amount"], {"amount": "0.001"}),
        missing=NO_PROGRAM,
        inactive=FROZEN,
    ),
    ("payStoredValue", "InsufficientValue"): TOO_MUCH_VALUE,
    **usual(
        "holdStoredValue",
        invalid=Case(["deadline"], {"deadline": "2020-01-01T00:00:00Z"}),
        missing=NO_MEMBER,
        inactive=FROZEN,
    ),
    ("holdStoredValue", "InsufficientValue"): TOO_MUCH_VALUE,
    **usual(
        "refundTopUp",
        invalid=Case(["amount"], {"amount": "-1.00"}),
        missing=Case(["transferId"], arrange=scenes.usable),
        inactive=erased("transferId"),
    ),
    ("refundTopUp", "InsufficientValue"): TOO_MUCH_VALUE,
}
