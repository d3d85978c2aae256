"""Webhooks: endpoints of others that are told by HTTP what happens here, signed, in order, at least once.

Says `webhooks.endpoint_disabled.v1`, and sends `webhooks.ping.v1` as a test. Listens to whatever endpoints subscribe
to: the outbox's routes carry it. See docs/webhooks.md.
"""
