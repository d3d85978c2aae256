"""Who comes in.

Owns: API keys, as hashes of their secrets, and what is no longer accepted of keys and tokens. `gate` lets bearers in.
Says: `access.api_key_created.v1`, `access.api_key_revoked.v1`, `access.tokens_revoked.v1`.
Needs: nothing of other domains.
"""
