"""Transfers that are broken by hand, of every kind: their legs, and what they refer to; and words for their rows."""

from __future__ import annotations

from tests.ledger.breaking import Case

UNKNOWN = "00000000-0000-7000-8000-000000000001"
BEYOND = "ffffffff-ffff-7fff-bfff-ffffffffffff"


def this(name: str) -> str:
    """The row of this name."""
    return f"SELECT '{{{name}}}'::uuid"


def leg(transfer: str, bucket: str) -> str:
    """The leg of a transfer in a bucket."""
    return f"SELECT id FROM entries WHERE transfer_id = '{{{transfer}}}' AND bucket = '{bucket}'"  # noqa: S608


def taken(transfer: str, lot: str) -> str:
    """What a transfer did to a lot."""
    return f"SELECT id FROM allocations WHERE transfer_id = '{{{transfer}}}' AND lot_id = '{{{lot}}}'"  # noqa: S608


def of(kind: str, of_name: str) -> str:
    """The transfer of a kind that refers to another."""
    return f"SELECT id FROM transfers WHERE kind = '{kind}' AND refers_id = '{{{of_name}}}'"  # noqa: S608


def lot_of(kind: str, of_name: str) -> str:
    """The lot that such a transfer made."""
    return f"SELECT l.id FROM lots l JOIN transfers t ON t.id = l.source_id WHERE t.id = ({of(kind, of_name)})"  # noqa: S608


def put(table: str, column: str, value: str) -> str:
    """Change a column of the row."""
    return f"UPDATE {table} SET {column} = {value} WHERE id = $1"  # noqa: S608 -- our own names


LEGS = {
    "amount of one of many legs": Case(
        leg("deduct", "HELD"), put("entries", "amount", "-12"), "amount", "-12", "-11", "entries"
    ),
    "amount of the house beside many legs": Case(
        leg("deduct", "HOUSE"), put("entries", "amount", "49"), "amount", "49", "50", "entries"
    ),
    "one of many legs removed": Case(
        this("deduct"), "DELETE FROM entries WHERE transfer_id = $1 AND bucket = 'DEBT'",
        "entries", "3 that sum to 25", "2 to 5 that sum to 0", "transfers",
    ),
    "amount of a transfer with many legs": Case(
        this("deduct"), put("transfers", "amount", "51"), "amount", "51", "50", "transfers"
    ),
    "two legs in one bucket": Case(
        leg("deduct", "PENDING"), put("entries", "bucket", "'HELD'"), "leg", "HELD", "each leg once", "entries"
    ),
    "leg in a bucket that the kind may have": Case(
        leg("restore again", "PENDING"), put("entries", "bucket", "'HELD'"),
        "leg", "HELD", "AVAILABLE or DEBT or FORFEITED or ISSUED or PENDING", "entries",
    ),
    "pending taken for available": Case(
        leg("cancel", "PENDING"), put("entries", "bucket", "'AVAILABLE'"), "balance after", "28", "164", "entries"
    ),
    "leg of another transfer": Case(
        leg("capture", "HELD"), put("entries", "transfer_id", "'{donate}'"),
        "transfer", "{donate}", "{capture}", "entries",
    ),
    "gap between the versions of two legs": Case(
        leg("hold", "HELD"), put("entries", "version", "99"), "version", "99", "9", "entries"
    ),
    "another kind": Case(
        this("hold"), put("transfers", "kind", "'SPEND'"), "kind", "SPEND", "HOLD", "transfers"
    ),
    "kind turned round": Case(
        of("EXCHANGE_IN", "exchange"), put("transfers", "kind", "'EXCHANGE_OUT'"),
        "kind", "EXCHANGE_OUT", "EXCHANGE_IN", "transfers",
    ),
    "kind that there is not": Case(
        this("donate"), put("transfers", "kind", "'LEND'"), "kind", "LEND", "DONATE", "transfers"
    ),
    "account of a transfer": Case(
        this("donate"), put("transfers", "account_id", "'{account of ben}'"),
        "account", "{account of ben}", "{account of ann}", "transfers",
    ),
    "member of an account": Case(
        this("account of ann"), put("accounts", "member_id", f"'{UNKNOWN}'"), "member", UNKNOWN, "{ann}", "accounts"
    ),
}  # fmt: skip

REFERENCES = {
    "capture of nothing": Case(
        this("capture"), put("transfers", "refers_id", "NULL"), "refers to", None, "HOLD", "transfers"
    ),
    "capture of a spend": Case(
        this("capture"), put("transfers", "refers_id", "'{spend}'"), "refers to", "SPEND", "HOLD", "transfers"
    ),
    "capture of what there is not": Case(
        this("capture"), put("transfers", "refers_id", f"'{UNKNOWN}'"), "refers to", UNKNOWN, "HOLD", "transfers"
    ),
    "capture of another's hold": Case(
        this("capture"), put("transfers", "refers_id", "'{older}'"),
        "refers to", "{older}", "one that it completes", "transfers",
    ),
    "release of another hold": Case(
        this("release"), put("transfers", "refers_id", "'{open}'"),
        "points of lot {lot of plain} back from {open}", "15", "at most 0", "transfers",
    ),
    "spend that refers": Case(
        this("spend"), put("transfers", "refers_id", "'{hold}'"), "refers to", "HOLD", "NONE", "transfers"
    ),
    "gift out of a hold that it does not name": Case(
        this("accept"), put("transfers", "refers_id", "NULL"),
        "refers to", None, "a hold where points were held", "transfers",
    ),
    "received of another gift": Case(
        of("RECEIVE", "gift"), put("transfers", "refers_id", "'{accept}'"),
        "refers to", "{accept}", "one that it completes", "transfers",
    ),
    "merge of a gift": Case(
        "SELECT id FROM transfers WHERE kind = 'MERGE_IN'", put("transfers",
            "refers_id", "'{gift}'"), "refers to", "GIFT", "MERGE_OUT", "transfers"
    ),
    "debt that was not made": Case(
        of("DEBT_PAID", "clawback"), put("transfers", "refers_id", "'{spend}'"),
        "refers to", "SPEND", "CLAWBACK or DEDUCT", "transfers",
    ),
    "reversal of nothing": Case(
        this("reverse"), put("transfers", "reverses_id", "NULL"),
        "reverses", None, "SPEND or CAPTURE or DONATE or FEE or ADJUST_DOWN or DEDUCT", "transfers",
    ),
    "reversal of another's spend": Case(
        this("reverse after the merge"), put("transfers", "reverses_id", "'{spend}'"),
        "reverses", "{spend}", "one of the same points", "transfers",
    ),
    "reversal of a reversal": Case(
        this("restore"), put("transfers", "reverses_id", "'{clawback}'"),
            "reverses", "CLAWBACK", "what reverses nothing itself", "transfers"
    ),
    "reversal out of another account of the house": Case(
        this("reverse"), put("transfers", "reverses_id", "'{donate}'"),
        "reverses", "DONATE", "what the same account of the house took", "transfers",
    ),
    "reversal of what had other lots": Case(
        this("reverse again"), put("transfers", "reverses_id", "'{capture}'"),
        "points of lot {reissued} back from {capture}", "7", "at most 0", "transfers"
    ),
    "more reversed than was spent": Case(
        this("reverse again"),
        "UPDATE transfers SET reverses_id = '{capture of the rest}' WHERE id IN ($1, '{reverse}')",
        "reversed of {capture of the rest}", "12", "at most 11", "transfers",
    ),
    "refund of a spend": Case(
        this("refund"), put("transfers", "reverses_id", "'{pay}'"), "reverses", "SPEND", "TOP_UP", "transfers"
    ),
    "clawback of a stranger's earning": Case(
        this("cancel"), put("transfers", "reverses_id", "'{good}'"),
        "reverses", "{good}", "one of the same points", "transfers",
    ),
    "hold without its row": Case(
        this("open"), "DELETE FROM holds WHERE id = $1", "holds", "0", "1", "transfers"
    ),
    "debt without its row": Case(
        this("open debt"), "DELETE FROM debts WHERE id = $1", "debts", "0", "1", "transfers"
    ),
    "gift without its row": Case(
        this("gift"), "DELETE FROM gifts WHERE id = $1", "gifts", "0", "1", "transfers"
    ),
    "top-up without its row": Case(
        this("top up"), "DELETE FROM top_ups WHERE id = $1", "top_ups", "0", "1", "transfers"
    ),
    "hold of a spend": Case(
        this("spend"),
        "INSERT INTO holds SELECT $1, member_id, purpose, state, amount, remaining, lots, takes, deadline,"
        " created_at, closed_at, account_id FROM holds WHERE id = '{hold}'",
        "holds", "1", "0", "transfers",
    ),
    "hold of no transfer": Case(
        this("open"),
        "INSERT INTO holds SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', member_id, purpose, state, amount,"
        " remaining, lots, takes, deadline, created_at, closed_at, account_id FROM holds WHERE id = $1",
        "transfer", None, "a HOLD", f"holds:{BEYOND}",
    ),
}  # fmt: skip
