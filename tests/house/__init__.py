"""Tests about the repository itself: what its files promise to whoever clones, reviews or runs it."""
