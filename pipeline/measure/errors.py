"""The error of measuring: a sentence that says what is wrong and what to do."""


class MeasureError(ValueError):
    """What was asked cannot be measured here, or not with what was given."""
