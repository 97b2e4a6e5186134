"""Python literals of strings, numbers, lists and mappings, as JSON: what makes them fast to read.

``ast.literal_eval`` builds a syntax tree; on the metadata of 2014 that is nine tenths of the time
of reading. Most of such a line is JSON but for its quotes: runs without a double quote or backslash
are rewritten by one replacement, the few other strings one by one. What does not become JSON
(prefixes, joined strings, tuples, None) is left to ``literal_eval``, which stays the judge.
"""

import ast
import re
import warnings
from typing import Any

import orjson

_TOKEN = re.compile(
    rb"""(?P<run>(?:[^'"\\]++|'[^'"\\]*+')++)"""
    rb"""|(?P<text>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')""",
    re.DOTALL,
)
BEGIN = b"{'"
"""How a mapping begins that is no JSON."""

_QUOTE, _APOSTROPHE = b'"', b"'"


class NotJSONError(ValueError):
    """The literal is none that this module rewrites."""


def loads(line: bytes) -> Any:  # noqa: ANN401 - a literal is any value
    """Return the value of a line that is a Python literal, as ``ast.literal_eval`` would.

    Raises:
        NotJSONError: the line is another literal, or none: ask ``literal_eval``.
    """
    try:
        return orjson.loads(_rewritten(line))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotJSONError from None


def _rewritten(line: bytes) -> bytes:
    if b"\\" not in line and _QUOTE not in line:
        return line.replace(_APOSTROPHE, _QUOTE)
    parts, at = [], 0
    for token in _TOKEN.finditer(line):
        if token.start() != at:
            break
        at = token.end()
        run = token["run"]
        parts.append(_text(token["text"]) if run is None else run.replace(_APOSTROPHE, _QUOTE))
    if at != len(line):
        raise NotJSONError
    return b"".join(parts)


def _text(token: bytes) -> bytes:
    """Return a string's literal as JSON."""
    if b"\\" not in token:
        if token.startswith(_QUOTE):
            return token
        return _QUOTE + token[1:-1].replace(_QUOTE, b'\\"') + _QUOTE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown escapes such as "\d", which occur
        return orjson.dumps(ast.literal_eval(token.decode()))
