"""The import graph is part of the design: light things stay light."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "open_clip", "pandas", "torch_geometric", "torchvision", "faiss"}
LOADED = "import sys, importlib; importlib.import_module({!r}); print(*sys.modules)"


def modules_loaded_by(module: str) -> set[str]:
    """Return every module that a fresh interpreter holds after one import."""
    code = LOADED.format(module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "pipeline",
        "pipeline.artifacts",
        "pipeline.flow",
        "pipeline.children",
        "pipeline.execute",
        "pipeline.orders",
        "pipeline.cli",
        "serving.app",
    ],
)
def test_import_stays_light(module):
    assert not HEAVY & modules_loaded_by(module)


def test_measure_stands_alone():
    ours = {
        m for m in modules_loaded_by("pipeline.measure") if m.startswith(("pipeline", "serving"))
    }
    assert ours <= {"pipeline", *(m for m in ours if m.startswith("pipeline.measure"))}
