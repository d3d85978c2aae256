"""Generated documents against a running engage; see `make fuzz`."""
