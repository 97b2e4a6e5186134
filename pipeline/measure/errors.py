"""The error of a measurement that cannot be made as asked."""


class MeasureError(ValueError):
    """What was asked to be measured, or with what, is wrong; the message says the cure."""
