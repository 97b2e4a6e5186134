"""The error of measuring code: what was asked for cannot be measured."""


class MeasureError(ValueError):
    """Says what was wrong, what was found and what to do; the command line adds an exit code."""
