"""Every notebook runs from top to bottom on a small store, and shows pictures."""

import os
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from tests.end_to_end.shop import must, write_config

NOTEBOOKS = sorted(Path("notebooks").glob("*.py"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    must("run", write_config(folder), "--store", folder / "store")
    return folder / "store"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, store, monkeypatch):
    monkeypatch.setenv("PLOTPOINTE_STORE", str(store))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 3
