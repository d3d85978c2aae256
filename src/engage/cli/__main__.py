"""`python -m engage.cli` is `engage`."""

from engage.cli import main

main()
