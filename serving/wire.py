"""What every message is made of: limits, keys, and the base of requests and answers."""

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)  # fmt: skip

MAX_K = 500
"""Longest list."""
MAX_OFFSET = 10_000
"""Furthest page."""
MAX_HISTORY = 1_000
"""Most items in a history."""
MAX_EXAMPLES = 1_000
"""Most positives, and most negatives."""
MAX_EXCLUDED = 10_000
"""Most excluded ids."""
MAX_RANKED = 1_000
"""Most items to put in order."""
MAX_BATCH = 1_000
"""Most requests in a batch."""
MAX_BATCH_ITEMS = 50_000
"""Most items asked for by a batch altogether."""
MAX_KEY = 512
"""Longest key."""
MAX_WIDTH = 4_096
"""Longest raw vector."""
MAX_CONDITIONS = 64
"""Most conditions in a filter."""
MAX_DEPTH = 4
"""Deepest filter in a filter."""
MAX_ANY = 1_000
"""Most values that a condition may list."""
MAX_ATTRIBUTE = 2_000
"""Longest text of an attribute."""
MAX_CONTEXT = 2_048
"""Most bytes of context, as JSON."""


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


_Text = Annotated[str, Field(max_length=MAX_KEY)]
Key = Annotated[_Text, BeforeValidator(_digits, json_schema_input_type=_Text | int)]
"""An id of the catalogue; a JSON number is taken as its digits."""


_Number = Annotated[StrictInt | StrictFloat, Field(allow_inf_nan=False)]
Attribute = StrictBool | _Number | Annotated[StrictStr, Field(max_length=MAX_ATTRIBUTE)]
"""A value of a column that only this catalogue has."""


class Message(BaseModel):
    """A part of a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
