"""People, their identities in every channel, and the organisation that they belong to: programs, stores, channels.

Says `members.registered.v1`. Needs nobody. Publishes SQL: `engage.members_lock` (every command that moves something
of a member takes this lock first) and `engage.members_by_identity`.
"""
