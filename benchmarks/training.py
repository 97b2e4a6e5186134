"""Training at the size of Amazon Electronics: our steps beside PyG's LightGCN, in one run.

python -m benchmarks.training [--scale 1.0] [--batch 65536] [--steps 3] [--threads 2]

Both train on the active part of the catalogue with the same interactions; content is random, for
only its width costs time. The peer is the loop that is usual with PyG: one full propagation for
each batch of 2,048 positives, BPR, Adam. This measures speed; quality is benchmarks/quality.yaml.
"""

import argparse
import json
import resource
import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from pipeline.config import TrainConfig
from pipeline.models import MODELS, Inputs
from pipeline.train.active import edges_of
from pipeline.train.data import TrainingData, relation_of
from pipeline.train.loop import Trainer
from pipeline.train.stage import options_of

Record = dict[str, Any]
USERS, ITEMS, INTERACTIONS, NEIGHBOURS = 192_403, 63_001, 1_350_000, 20
WIDTHS = {"text": 384, "image": 512}
PEER_BATCH = 2048


def load(scale: float, seed: int = 0) -> TrainingData:
    """Return data like Electronics' active part: power-law popularity, two item graphs, content."""
    rng = np.random.default_rng(seed)
    users, items, taken = (round(n * scale) for n in (USERS, ITEMS, INTERACTIONS))
    popularity = 1 / (np.arange(items) + 20.0) ** 0.9
    bought = rng.choice(items, taken, p=popularity / popularity.sum())
    buyers = np.concatenate([np.arange(users), rng.integers(0, users, taken - users)])
    train = sp.csr_matrix((np.ones(taken, np.float32), (buyers, bought)), shape=(users, items))
    train.data[:] = 1
    train.sort_indices()
    relations, vectors, present = {}, {}, {}
    for name, width in WIDTHS.items():
        sources = np.repeat(np.arange(items), NEIGHBOURS)
        near = rng.integers(0, items, len(sources))
        weights = rng.uniform(0.3, 0.9, len(sources)).astype(np.float32)
        relations[name] = relation_of(sp.csr_matrix((weights, (sources, near)), (items, items)))
        vectors[name] = torch.from_numpy(rng.normal(size=(items, width)).astype(np.float32))
        present[name] = torch.ones(items, dtype=torch.bool)
    return TrainingData(Inputs(edges_of(train), relations, vectors, present), train, train)


def ours(data: TrainingData, config: TrainConfig, steps: int) -> Record:
    """Return the rate of our training steps."""
    model = MODELS["gat"](data.inputs, options_of(config, [*data.inputs.relations]), 0)
    trainer = Trainer(model, data, config, 0)
    noise = trainer.seeds.noise(0, trainer.device)
    batches = trainer.sampler.epoch(trainer.seeds.rng(0))
    seconds = []
    for batch, _ in zip(batches, range(steps + 1), strict=False):
        begun = time.perf_counter()
        trainer.step(trainer._on_device(batch), noise)
        seconds.append(time.perf_counter() - begun)
    best = min(seconds[1:])  # the first also makes what is constant
    return {
        "way": f"gat, heads {config.heads}",
        "batch": config.batch_size,
        "seconds_per_step": round(best, 2),
        "positives_per_second": round(config.batch_size / best),
        "seconds_per_epoch": round(best * data.train.nnz / config.batch_size, 1),
    }


def theirs(data: TrainingData, steps: int) -> Record:
    """Return the rate of PyG's LightGCN with a propagation per batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch_geometric.nn import LightGCN
    users, items = data.train.shape
    buyers, bought = (torch.from_numpy(a.astype(np.int64)) for a in data.train.nonzero())
    taken = torch.stack([buyers, users + bought])
    edges = torch.cat([taken, taken.flip(0)], dim=1)
    model = LightGCN(users + items, 64, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    draw, seconds = torch.Generator().manual_seed(0), []
    for _ in range(steps + 1):
        begun = time.perf_counter()
        rows = torch.randint(len(buyers), (PEER_BATCH,), generator=draw)
        wrong = users + torch.randint(items, (PEER_BATCH,), generator=draw)
        optimizer.zero_grad()
        vectors = model.get_embedding(edges)
        mine = vectors[buyers[rows]]
        right, other = vectors[users + bought[rows]], vectors[wrong]
        scores = (mine * (right - other)).sum(dim=1)
        (-torch.nn.functional.logsigmoid(scores).mean()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    best = min(seconds[1:])
    return {
        "way": "PyG LightGCN, a propagation per 2,048",
        "batch": PEER_BATCH,
        "seconds_per_step": round(best, 2),
        "positives_per_second": round(PEER_BATCH / best),
        "seconds_per_epoch": round(best * data.train.nnz / PEER_BATCH, 1),
    }


def main() -> None:
    """Print a JSON record for each way, then the ratio and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=65_536)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = load(asked.scale)
    found = []
    for heads in (0, 4):
        rate = 0.02 if heads else 0.0
        config = TrainConfig(loss="softmax", negatives=256, init_std=0.1, weight_decay=1e-2)
        changed = {"batch_size": asked.batch, "heads": heads, "gate_rate": rate}
        found.append(ours(data, config.model_copy(update=changed), asked.steps))
        print(json.dumps(found[-1]), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    peer = theirs(data, asked.steps)
    print(json.dumps(peer))
    ratios = [round(f["positives_per_second"] / peer["positives_per_second"], 1) for f in found]
    print(json.dumps({"ratios": ratios, "our_peak_gb": round(peak, 2)}))


if __name__ == "__main__":
    main()
