"""Lets `python -m harness` do what `stepup` does; stages are started this way, whatever is on the PATH."""

from harness.cli import main

main()
