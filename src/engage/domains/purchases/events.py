"""What purchases say. SQL writes these events itself; the names are its contract.

Each one's stream is the member's, its audience the member and staff. Data: purchase_id, member_id, program, amount
(as text), currency, points, purchased_at.
"""

from __future__ import annotations

PURCHASE_RECORDED = "purchases.recorded.v1"
"""An order is on file and has earned what it earns."""
