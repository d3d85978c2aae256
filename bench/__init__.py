"""Measurements: `make bench`, or `python -m bench spend profile` for some; ratios to references."""
