"""Messages to members: an in-app inbox with an unread count, in the member's language.

Says `notifications.message_added.v1` and `notifications.messages_read.v1`. Listens to `ledger.points_expiring.v1`.
"""
