"""Strings without what names people, machines or secrets."""

import getpass
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

_PATTERNS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"), "<address>"),
    (re.compile(r"(?<![\w.])(?:~|\.{0,2})/[^\s'\",;:()]+"), "<path>"),
    (re.compile(r"\b[A-Za-z]:\\[^\s'\"]+"), "<path>"),
    (re.compile(r"\b(?:sk|pk|pp|ghp|hf|xox[a-z])[-_][\w-]{8,}"), "<key>"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{24,}\b"), "<key>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
)
_SHORTEST_NAME = 3


def redacted(value: Any, names: frozenset[str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return JSON values with paths, addresses, keys, and the names of user and machine masked."""
    names = own_names() if names is None else names
    if isinstance(value, Mapping):
        return {redacted(str(key), names): redacted(child, names) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(child, names) for child in value]
    return _masked(value, names) if isinstance(value, str) else value


def _masked(text: str, names: frozenset[str]) -> str:
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)
    return text


def own_names() -> frozenset[str]:
    """Return what the user and this machine are called."""
    found = {socket.gethostname(), socket.gethostname().partition(".")[0]}
    found |= {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME")}
    found.add(os.path.basename(os.path.expanduser("~")))
    try:
        found.add(getpass.getuser())
    except (OSError, KeyError):  # no entry for this user
        pass
    # "root" says nothing of anybody, and stands in many an honest sentence.
    return frozenset(
        n for n in found if len(n) >= _SHORTEST_NAME and n not in ("root", "localhost")
    )
