"""The load generator counts what a real service answers."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.load import Target, drive


def target(address: str, path: str = "/v1/recommend") -> Target:
    return Target("127.0.0.1", urlsplit(address).port, path)


def test_every_answer_is_counted(address):
    bodies = [json.dumps({"user": f"u{n}", "k": 3}).encode() for n in range(40)] + [b"{"] * 3
    record = drive(target(address), bodies, 4, 60).record()
    assert record["requests"] == 43
    assert record["statuses"] == {"200": 40, "400": 3}
    assert 0 < record["p50_ms"] <= record["p99_ms"] <= record["max_ms"]
    assert record["per_second"] > 0


def test_it_ends_in_time_and_knows_get(address):
    measured = drive(target(address, "/health/live"), itertools.repeat(None), 2, 0.3)
    assert 0.2 < measured.seconds < 5 and set(measured.statuses) == {200}


def test_the_script_works(address, tmp_path):
    (tmp_path / "users.txt").write_text("u1\nu2\n")
    command = ["deploy/load/load.sh", address, str(tmp_path / "users.txt"), "--seconds", "0.3"]
    environment = {**os.environ, "PYTHON": sys.executable}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr
    assert [*json.loads(done.stdout)["statuses"]] == ["200"]
