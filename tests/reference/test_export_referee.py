"""The independent referee scores our exported lists; its numbers are ours to 1e-6."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest

from pipeline import files, schema
from pipeline.artifacts import Artifact, Store
from pipeline.evaluate.export import Export, write_top_k
from pipeline.evaluate.metrics import Metric, evaluate_users
from pipeline.evaluate.protocol import Rules, subject
from pipeline.interactions import user_item
from pipeline.scoring import open_scorer
from tests import worlds

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("PLOTPOINTE_SHARED", ROOT.parent / "shared"))
REFEREE = SHARED / "tools" / "score_topk.py"
BABY = SHARED / "data" / "amazon-baby" / "baby.inter"
KS = (10, 20)

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not REFEREE.exists(), reason="the referee script is not beside the project"),
]


def judge(top_k: Path, inter: Path, label: int, mask: list[int]) -> dict[str, float]:
    command = [
        sys.executable, str(REFEREE), str(top_k), str(inter), "--json", "--label", str(label),
        "--mask", *map(str, mask), "--k", *map(str, KS),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    verdict = json.loads(ran.stdout)
    assert verdict["problems"] == []
    return verdict


def ours(tables: Artifact, model: Artifact, split: str, rules: Rules) -> dict[str, float]:
    chosen = subject(tables, split, rules)
    wanted = [Metric(name, k) for name in ("recall", "ndcg") for k in KS]
    ranking = chosen.ranking(max(KS))
    scorer = open_scorer(model, chosen.train)
    values = evaluate_users(scorer, chosen.users, chosen.relevant, ranking, wanted)
    means = {name: float(each.mean()) for name, each in values.items()}
    return {"users": len(chosen.users), "held_out": chosen.relevant[chosen.users].nnz, **means}


def must_agree(tables, model, inter: Path, into: Path, split: str, mask: str) -> dict[str, float]:
    rules = Rules(mask)
    write_top_k(into / "top.parquet", tables, model, Export(split, max(KS), rules))
    masked = [0, 1] if split == "test" and mask == "train+validation" else [0]
    verdict = judge(into / "top.parquet", inter, schema.SPLITS[split], masked)
    found = ours(tables, model, split, rules)
    for name, value in found.items():
        assert verdict[name] == pytest.approx(value, abs=1e-6), name
    return found


@pytest.mark.parametrize("split", ["test", "validation"])
@pytest.mark.parametrize("mask", ["train", "train+validation"])
def test_on_the_planted_world(tmp_path, split, mask):
    world, store = worlds.planted(), Store(tmp_path / "store")
    tables, model = worlds.tables(store, world), worlds.model(store, world)
    inter = tmp_path / "planted.inter"
    lines = [
        f"u{u}\ti{i}\t{s}\n" for u, i, s in zip(world.users, world.items, world.split, strict=True)
    ]
    inter.write_text("userID\titemID\tx_label\n" + "".join(lines))
    found = must_agree(tables, model, inter, tmp_path, split, mask)
    assert found["recall@20"] > 0.3


@pytest.mark.skipif(not BABY.exists(), reason="amazon-baby is not beside the project")
def test_popularity_on_amazon_baby(tmp_path):
    """A cheap model full of ties, on the published split: train-only masking."""
    store = Store(tmp_path / "store")
    tables = baby_tables(store)
    train = user_item(tables)

    def write(into: Path) -> None:
        counts = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float32)
        files.write_array(into / "user_vectors.npy", np.ones((train.shape[0], 1), np.float32))
        files.write_array(into / "item_vectors.npy", counts[:, None])

    model = worlds.publish(store, "model", "9009", write)
    found = must_agree(tables, model, BABY, tmp_path, "test", "train")
    assert 0.03 < found["recall@20"] < 0.07


def baby_tables(store: Store) -> Artifact:
    read = pc.read_csv(BABY, parse_options=pc.ParseOptions(delimiter="\t"))
    users, items = (read[name].to_numpy() for name in ("userID", "itemID"))

    def write(into: Path) -> None:
        zeros = np.zeros(len(read))
        columns = {
            "user": users, "item": items, "weight": zeros + 1, "timestamp": zeros,
            "split": read["x_label"].to_numpy(),
        }  # fmt: skip
        interactions = schema.conform(pa.table(columns), schema.INTERACTIONS, "")
        files.write_table(into / "interactions.parquet", interactions)
        for name, n in ("users", users.max() + 1), ("items", items.max() + 1):
            keys = [{"key": str(row)} for row in range(n)]
            want = schema.USERS if name == "users" else schema.ITEMS
            files.write_table(into / f"{name}.parquet", pa.Table.from_pylist(keys, schema=want))

    return worlds.publish(store, "tables", "baby", write)
