"""Promised work: `record(event)` inside the caller's transaction, `@on` and `@job` for who carries it out.

An outbox row exists if and only if its cause has committed, and is done when its effect commits with it.
"""
