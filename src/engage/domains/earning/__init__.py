"""From activity to points: what an order earns, in the transaction that stores the order.

Says nothing of its own; the events are those of purchases and of the ledger. Needs purchases, ledger, members.
"""
