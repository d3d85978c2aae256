"""Points as money owed: double entry, append only, in lots that expire each by its own rule; and stored value.

Says one event for each kind of transfer (`ledger.points_earned.v1` … , all of them in `events.py`), and
`ledger.points_expiring.v1`, `ledger.expiry_changed.v1`, `ledger.exchange_rate_published.v1`,
`ledger.adjustment_requested.v1`, `ledger.adjustment_decided.v1`. Needs members (the lock, programs).
The kernel is SQL (`sql/`): one round trip a command. `policy/` has the rules of a program's ledger.
"""
