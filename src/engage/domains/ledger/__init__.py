"""Points as money owed: double entry, append only, in lots that expire each by its own rule.

Says `ledger.points_earned.v1`, `ledger.points_spent.v1`, `ledger.points_matured.v1`, `ledger.points_expired.v1`,
`ledger.points_expiring.v1`. Needs members (the lock, programs). The kernel is SQL (`sql/`): one round trip a command.
"""
