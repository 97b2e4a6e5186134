"""The how-to's commands work as printed; ids and users stand for those of the planted bundle."""

import json
import re
import shlex
from pathlib import Path

import pytest

PAGE = Path("docs/how-to/recommend.md").read_text()
COMMANDS = [
    command
    for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    for command in re.split(r"\n(?=curl )", block.strip())
]


def test_there_are_some():
    assert len(COMMANDS) >= 9 and all(each.startswith("curl ") for each in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works(client, command):
    words = shlex.split(
        re.sub(r"(user|item)-0*(\d+)", lambda m: f"{m[1][0]}{int(m[2]) % 60}", command)
    )
    path = words[1].removeprefix("localhost:8000")
    body = words[words.index("-d") + 1] if "-d" in words else None
    answer = client.get(path) if body is None else client.post(path, content=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    for each in told.get("answers", [told]):
        assert each.get("unknown_items", []) == []
        asked = json.loads(body or "{}")
        assert each["items"] or "filter" in asked or "shortfall_reason" in each
