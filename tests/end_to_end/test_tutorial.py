"""The tutorials' commands work as printed, on a smaller shop."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import GateFailedError
from tests.end_to_end.shop import ENVIRONMENT, command

TUTORIALS = {"tutorial.md": 9, "tutorial-measure.md": 12}
"""By file, the least number of commands."""
ELSEWHERE = ("make demo", "plotpointe demo", "plotpointe serve", "curl ")
"""Commands that other tests run: the shop, and a served bundle asked by curl."""


def commands_of(tutorial: str) -> list[str]:
    """Return the commands of every plain block; what stands in a block of text is output."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", Path("docs", tutorial).read_text(), re.S | re.M)
    lines = [
        line.partition("  #")[0] for kind, told in blocks if not kind for line in told.splitlines()
    ]
    return [line for line in lines if not line.startswith(ELSEWHERE)]


@pytest.mark.parametrize("tutorial", TUTORIALS)
def test_every_line_of_a_tutorial_works(tutorial, shop):
    commands = commands_of(tutorial)
    assert len(commands) >= TUTORIALS[tutorial]
    store = {
        **ENVIRONMENT,
        "PLOTPOINTE_STORE": str(shop / "artifacts"),
        "PYTHONPATH": os.getcwd(),
    }
    for line in commands:
        words = shlex.split(line.replace("configs/demo.yaml", str(shop / "shop.yaml")))
        assert words[0] == "plotpointe"
        done = subprocess.run(
            command(*words[1:]), capture_output=True, text=True, env=store, cwd=shop
        )
        # A model that trained for three epochs need not pass a gate.
        fine = (0, GateFailedError.exit_code) if "--gate" in words else (0,)
        assert done.returncode in fine, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        written = [words[at + 1] for at, word in enumerate(words) if word in ("--html", "--out")]
        assert all((shop / name).stat().st_size > 1000 for name in written), line
