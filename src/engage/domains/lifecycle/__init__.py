"""What happens to a member as a whole, in every domain at once: freezes and thaws.

Says nothing of its own: what changes is a member's, so that `members` says it. Needs members and ledger, which it
calls in one transaction under the member's lock.
"""
