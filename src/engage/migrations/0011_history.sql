-- What `engage db migrate` runs. Written from 0011_history.py by `make migrations`.

-- Run SQL
CREATE INDEX transfers_of_kind ON transfers (account_id, kind, version_after);

-- Run SQL
CREATE INDEX entries_of_bucket ON entries (account_id, bucket, version) WHERE bucket IN ('PENDING', 'HELD', 'DEBT');

-- Run SQL
CREATE INDEX lots_of_account ON lots (account_id, id);

-- Run SQL
CREATE INDEX gifts_sent ON gifts (sender_id, id DESC);

-- Run SQL
CREATE INDEX adjustments_in_state ON adjustments (state, asked_at, id);

-- Run SQL
DROP INDEX adjustments_waiting;
