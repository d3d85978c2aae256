"""Clients and audits from npm against a running engage; see `make conformance`."""
