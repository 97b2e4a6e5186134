"""One small shop that tests read, or take a copy of: made once, by whoever is first."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.shop import WITH_EASE, must, write_config


@pytest.fixture(scope="session")
def read_shop(tmp_path_factory) -> Path:
    """Return a folder with ``shop.yaml`` and the store ``artifacts`` of its run, to read alone."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "read-shop"
    with (base / "read-shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            must("run", write_config(folder, WITH_EASE), "--store", folder / "artifacts")
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="module")
def shop(read_shop, tmp_path_factory) -> Path:
    """Return a copy of the shop that a module may change."""
    folder = tmp_path_factory.mktemp("shop") / "copy"
    shutil.copytree(read_shop, folder)
    return folder
