"""Every notebook runs from top to bottom on a small store, and shows pictures."""

import os
import re
from itertools import pairwise
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

FOLDER = Path("notebooks")
NOTEBOOKS = sorted(FOLDER.glob("*.py"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, read_shop, monkeypatch):
    monkeypatch.setenv("PLOTPOINTE_STORE", str(read_shop / "artifacts"))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    notebook = jupytext.read(path)
    place = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 3
    warned = [o["text"] for o in outputs if o.get("name") == "stderr"]
    assert not warned, "a reader sees no warnings"


def test_notebooks_are_a_path():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{n:02}" for n in range(1, 7)]
    for path, after in pairwise(NOTEBOOKS):
        assert f"]({after.name})" in path.read_text(), f"{path} does not lead on"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_a_notebook_points_at_is_there(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_checks_what_it_says(path):
    assert len(re.findall(r"^ *assert ", path.read_text(), re.MULTILINE)) >= 1
