"""``python -m pipeline.cli``: the command line without an installed script."""

from pipeline.cli import main

main()
