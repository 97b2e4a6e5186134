"""The tutorial's commands work as printed, on a smaller shop."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.shop import ENVIRONMENT, command, must, write_config

BLOCKS = re.findall(r"```\n(.*?)```", Path("docs/tutorial.md").read_text(), re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
ELSEWHERE = ("make demo", "plotpointe serve", "curl ")
"""Commands that other tests run: the shop, and a served bundle asked by curl."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    config = write_config(folder)
    must("run", config, "--store", folder / "artifacts")
    return folder, config


def test_every_line_of_the_tutorial_works(shop):
    folder, config = shop
    commands = [line for line in LINES if not line.startswith(ELSEWHERE)]
    assert len(commands) >= 9
    for line in commands:
        words = shlex.split(line.replace("configs/demo.yaml", str(config)))
        assert words[0] == "plotpointe"
        store = {**ENVIRONMENT, "PLOTPOINTE_STORE": str(folder / "artifacts")}
        done = subprocess.run(command(*words[1:]), capture_output=True, text=True, env=store)
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
