"""Steps over sampled neighbourhoods beside whole propagation, on growing graphs, in one run.

python -m benchmarks.sampled [--scales 0.0625 0.25 1.0] [--batch 2048] [--fan-out 5 3 2] [--steps 5]

Data is like Electronics' active part (benchmarks/training.py). ``grown_mb`` is how far the process
rises above what it held before its steps: parameters, their moments and the graph aside.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.training import load
from pipeline.config import TrainConfig
from pipeline.train.batch import TensorBatch
from pipeline.train.data import TrainingData
from pipeline.train.loop import Trainer
from pipeline.train.stage import made

Record = dict[str, Any]


def trainer_of(data: TrainingData, batch: int, fan_out: tuple[int, ...] | None) -> Trainer:
    """Return a trainer of the default model, sampled or whole."""
    config = TrainConfig(loss="softmax", negatives=256, init_std=0.1, weight_decay=1e-2,
                         batch_size=batch, fan_out=fan_out)  # fmt: skip
    return Trainer(made(config, data.inputs, 0), data, config, 0)


def memory(field: str) -> float:
    """Return a field of the process's status in MB: VmRSS, or VmHWM, the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def steps_of(trainer: Trainer, steps: int) -> Iterator[TensorBatch]:
    """Yield batches as an epoch would, their neighbourhoods drawn when they are asked for."""
    for at, batch in enumerate(trainer.sampler.epoch(trainer.seeds.rng(0))):
        if at == steps:
            return
        yield trainer._tensors(batch, trainer.seeds.neighbors(0, at))


def measured(trainer: Trainer, steps: int) -> Record:
    """Return positives a second (processor time) and the memory of steps after the first."""
    noise = trainer.seeds.noise(0, trainer.device)
    batches = steps_of(trainer, steps + 1)
    trainer.step(next(batches), noise)
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    took, nodes = [], 0
    for _ in range(steps):
        begun = time.process_time()
        batch = next(batches)
        trainer.step(batch, noise)
        took.append(time.process_time() - begun)
        nodes = 0 if batch.near is None else len(batch.near.users) + len(batch.near.items)
    return {
        "positives_per_second": round(trainer.config.batch_size / statistics.median(took)),
        "step_ms": round(1000 * statistics.median(took)),
        "grown_mb": round(memory("VmHWM") - before),
        "nodes": nodes,
    }


def records(scales: list[float], batch: int, fan_out: tuple[int, ...], steps: int) -> list[Record]:
    """Return one record for each scale and way."""
    found = []
    for scale in scales:
        data = load(scale)
        size = {"scale": scale, "interactions": int(data.train.nnz), "batch": batch}
        for name, fans in (("sampled", fan_out), ("whole", None)):
            ways = measured(trainer_of(data, batch, fans), steps)
            found.append({"way": name, **size, "fan_out": fans, **ways})
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    """Print one JSON record for each scale and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0625, 0.25, 1.0])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--fan-out", type=int, nargs="+", default=[5, 3, 2])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    records(asked.scales, asked.batch, tuple(asked.fan_out), asked.steps)


if __name__ == "__main__":
    main()
