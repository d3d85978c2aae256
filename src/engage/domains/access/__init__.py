"""Who comes in: API keys, and tokens that are no longer accepted."""
