"""What callers may use up: what an operation costs, whose budget pays for it, how many requests may come."""
