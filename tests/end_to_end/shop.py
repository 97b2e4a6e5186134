"""Run the real command line on a small embedded catalogue, as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

YAML = """
name: small-shop
data: {format: demo, demo: {users: 150, items: 120, interactions_per_user: 12}}
embed: {text: {encoder: tiny}, image: {encoder: tiny}}
train: {model: gat, epochs: 3, width: 16, layers: 2}
baselines:
  popularity: {model: popularity}
  lightgcn: {model: lightgcn, overrides: {epochs: 2, width: 16}}
evaluate: {resamples: 200}
"""
RANKED = YAML.replace("epochs: 3,", "epochs: 2, distill: {first: {epochs: 1}},").replace(
    "baselines:", "rank: {candidates: 30, epochs: 2}\nbaselines:\n  ease: {model: ease}"
)
"""The same shop with a second stage whose lists are learned back."""
WITH_EASE = YAML.replace("baselines:", "baselines:\n  ease: {model: ease}")
"""The same shop with a model in closed form, as the embedded shop has one."""
STAGES = ("etl", "embed", "graph", "train", "evaluate", "index")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def write_config(folder: Path, text: str = YAML) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]


def plotpointe(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Return the finished command, whatever its exit code."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=ENVIRONMENT, timeout=280
    )


def must(*arguments: object) -> str:
    """Return the standard output of a command that succeeded."""
    done = plotpointe(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def contents(store: Path) -> dict[str, dict[str, str]]:
    """Return the hash of every file of every artifact, by kind/fingerprint."""
    found = {}
    for manifest in store.glob("*/*/manifest.json"):
        files = json.loads(manifest.read_text())["files"]
        name = f"{manifest.parent.parent.name}/{manifest.parent.name}"
        found[name] = {file: entry["sha256"] for file, entry in files.items()}
    return found


def heed_interrupts() -> None:
    """Undo a shell that started the tests in the background, where Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_during(kind: str, config: Path, store: Path, how: int) -> subprocess.CompletedProcess[str]:
    """Run the pipeline and end the whole of it as soon as a draft of ``kind`` appears."""
    process = subprocess.Popen(
        command("run", config, "--store", store),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT, start_new_session=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if any(store.glob(f"{kind}/.*.*")):
            os.killpg(process.pid, how)
            break
        time.sleep(0.002)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


KILL, INTERRUPT = signal.SIGKILL, signal.SIGINT
