"""Whatever ends a run, the same command finishes it with the same artifacts, byte for byte."""

import pytest

from pipeline.schema import KINDS
from tests.end_to_end.shop import INTERRUPT, KILL, contents, end_during, must, write_config


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    must("run", write_config(folder), "--store", folder / "store")
    return contents(folder / "store")


@pytest.mark.parametrize("how", [KILL, INTERRUPT], ids=["killed", "interrupted"])
def test_ended_in_every_stage_the_run_ends_the_same(tmp_path, undisturbed, how):
    config, store = write_config(tmp_path), tmp_path / "store"
    for kind in KINDS:
        ended = end_during(kind, config, store, how)
        assert ended.returncode != 0, f"the run finished before its {kind} could be disturbed"
        if how == INTERRUPT:
            assert ended.returncode == 130
            assert "interrupted" in ended.stderr
            assert "Traceback" not in ended.stderr
    must("run", config, "--store", store)
    assert contents(store) == undisturbed
    assert not [p for p in store.glob("*/.*.*") if p.is_dir() and p.parent.name in KINDS]
