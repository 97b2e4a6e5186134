"""Everything that runs on a GPU, checked and timed there.

python -m benchmarks.gpu [--json FILE]

Under eight minutes on a CUDA device. A row says what was done, whether it agrees with its twin, how
long it took, and what share that is of what the device was measured to do at best: bytes of plain
copying, or operations of plain matrix products. Where there is no CUDA it says so and runs the same
checks small on the processor.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.training import load
from pipeline.config import TrainConfig
from pipeline.graph.device import nearest_on
from pipeline.models.accelerator import kernels_for
from pipeline.models.gated import Gate, edge_factors, gated_propagate, gated_propagate_dense
from pipeline.models.sparse import Edges, propagate
from pipeline.train.data import TrainingData
from pipeline.train.loop import Trainer
from pipeline.train.neighbors import on_device
from pipeline.train.sampling import ahead
from pipeline.train.stage import made, on_this_machine

Record = dict[str, Any]
ROUNDS = 7
WIDTH, HEADS = 64, 4


@dataclass(frozen=True)
class Size:
    """How much is done on a kind of device."""

    copied: int
    product: int
    scale: float
    knn: int
    queries: int
    steps: int


SIZES = {
    "cuda": Size(1 << 30, 8192, 1.0, 498_196, 1000, 100),
    "cpu": Size(1 << 24, 512, 1 / 64, 4000, 200, 2),
}


class Bench:
    """Times functions on one device and keeps records."""

    def __init__(self, device: torch.device) -> None:
        """Measure what the device does at best first."""
        self.device, self.size = device, SIZES[device.type]
        self.records: list[Record] = []
        self.bytes_per_second, self.flops = self._ceilings()

    def seconds(self, way: Callable[[], object], rounds: int = ROUNDS) -> float:
        """Return the median time of a function, after one that is not counted."""
        took = []
        for _ in range(rounds + 1):
            self._wait()
            begun = time.perf_counter()
            way()
            self._wait()
            took.append(time.perf_counter() - begun)
        return statistics.median(took[1:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _ceilings(self) -> tuple[float, dict[str, float]]:
        whole = torch.empty(self.size.copied // 4, device=self.device)
        into = torch.empty_like(whole)
        rate = 2 * self.size.copied / self.seconds(lambda: into.copy_(whole))
        flops = {}
        for name, kind, precision in (
            ("float32", torch.float32, "highest"),
            ("tf32", torch.float32, "high"),
            ("bfloat16", torch.bfloat16, "highest"),
        ):
            torch.set_float32_matmul_precision(precision)
            square = torch.randn(self.size.product, self.size.product, device=self.device).to(kind)
            flops[name] = 2 * self.size.product**3 / self.seconds(lambda s=square: s @ s)
        torch.set_float32_matmul_precision("highest")
        return rate, flops

    def tell(self, what: str, took: float, agrees: bool | None, **more: object) -> None:
        """Keep and print a record; ``moved`` bytes or ``operations`` are set beside the ceiling."""
        record: Record = {"what": what, "ms": round(1000 * took, 2), "agrees": agrees, **more}
        if "moved" in more:
            rate = float(str(record.pop("moved"))) / took
            record |= {
                "GB/s": round(rate / 1e9, 1),
                "share": round(rate / self.bytes_per_second, 3),
            }
        if "operations" in more:
            rate, best = float(str(record.pop("operations"))) / took, self.flops[record["of"]]
            record |= {"TFLOP/s": round(rate / 1e12, 3), "share": round(rate / best, 3)}
        self.records.append(record)
        print("  ".join(f"{k} {v}" for k, v in record.items()), flush=True)


def kernels(bench: Bench, data: TrainingData) -> None:
    """Check and time the sparse product and gated attention on the relation of largest degree."""
    edges, device = data.inputs.user_item.to(bench.device), bench.device
    draw = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, device=device)

    rows, columns = edges.shape
    values, x = drawn(edges.count), drawn(columns, WIDTH).requires_grad_()
    gate = Gate(drawn(rows, HEADS, WIDTH // HEADS), drawn(columns, HEADS, WIDTH // HEADS),
                drawn(HEADS) / HEADS)  # fmt: skip
    gathered = edges.count * WIDTH * 4
    agrees = small_ones_agree(device)
    bench.tell(
        "product", bench.seconds(lambda: propagate(edges, values, x)), agrees, moved=gathered
    )
    matrix = edges.matrix(values)
    took = bench.seconds(lambda: matrix @ x.detach())
    bench.tell("product, torch's", took, None, moved=gathered)
    for name, way in (("fused", gated_propagate), ("in two", in_two)):
        if name == "fused" and not kernels_for(values, x):
            print("gated product: no Triton here, so there is no fused kernel to time")
            continue
        took = bench.seconds(lambda way=way: way(edges, values, gate, x))
        bench.tell(f"gated product, {name}", took, agrees, moved=2 * gathered)
        took = bench.seconds(lambda way=way: way(edges, values, gate, x).square().sum().backward())
        bench.tell(f"gated product and gradients, {name}", took, agrees, moved=6 * gathered)


def in_two(edges: Edges, values: Tensor, gate: Gate, x: Tensor) -> Tensor:
    """Return the gated product by gates first and the product after."""
    return propagate(edges, values * edge_factors(edges, gate), x)


def small_ones_agree(device: torch.device) -> bool:
    """Return whether product, gates and gradients are those of dense matrices, on small graphs."""
    rng, agree = np.random.default_rng(0), True
    for rows, columns, width in ((9, 7, 10), (40, 30, 64)):
        pattern = rng.random((rows, columns)) < 0.4
        indptr = torch.from_numpy(np.concatenate([[0], pattern.sum(axis=1).cumsum()]))
        edges = Edges.of(indptr, torch.from_numpy(pattern.nonzero()[1].copy()), pattern.shape)
        edges = edges.to(device)
        shapes = (edges.count,), (rows, 2, 3), (columns, 2, 3), (2,), (columns, width)
        ends = [torch.randn(*s, device=device).requires_grad_() for s in shapes]
        results = []
        for way in (gated_propagate, gated_propagate_dense):
            out = way(edges, ends[0], Gate(*ends[1:4]), ends[4])
            results.append([out, *torch.autograd.grad(out.square().sum(), ends)])
        pairs = zip(*results, strict=True)
        agree &= all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in pairs)
    return agree


def knn(bench: Bench) -> None:
    """Check and time exact neighbours of clustered vectors, k = 20."""
    rng, count, width = np.random.default_rng(0), bench.size.knn, 384
    centres = rng.normal(size=(max(2, count // 50), width)).astype(np.float32)
    unit = centres[rng.integers(len(centres), size=count)]
    unit = unit + 0.8 * rng.standard_normal(unit.shape, dtype=np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    found = nearest_on(bench.device, unit, 20)
    some = rng.choice(count, bench.size.queries, replace=False)
    scores = unit[some] @ unit.T
    scores[np.arange(len(some)), some] = -np.inf
    best = -np.sort(-np.partition(scores, count - 20, axis=1)[:, -20:], axis=1)
    agrees = bool(np.allclose(found.weights[some], best, atol=1e-5))
    took = bench.seconds(lambda: nearest_on(bench.device, unit, 20), rounds=1)
    bench.tell(f"exact 20 nearest of {count} x {width}", took, agrees,
               operations=2.0 * count**2 * width, of="bfloat16", again=found.again)  # fmt: skip


def epochs(bench: Bench, data: TrainingData) -> None:
    """Time steps of training, whole and sampled, float32 and bfloat16; foretell an epoch."""
    if bench.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as the train stage does
    for name, asked in (
        ("whole", {"batch_size": 65_536}),
        ("whole, bfloat16", {"batch_size": 65_536, "precision": "bfloat16"}),
        ("whole, no attention", {"batch_size": 65_536, "heads": 0, "gate_rate": 0.0}),
        ("sampled", {"batch_size": 8192, "fan_out": (5, 5, 3)}),
    ):
        config = TrainConfig(
            loss="softmax", negatives=256, init_std=0.1, weight_decay=1e-2, **asked
        )
        inputs = data.inputs if config.fan_out else data.inputs.to(bench.device)
        trainer = Trainer(made(config, inputs, 0).to(bench.device), data, config, 0)
        took, losses = stepped(bench, trainer)
        steps = trainer.sampler.steps()
        bench.tell(f"step, {name}", took, bool(np.isfinite(losses).all()), steps=steps,
                   epoch_s=round(took * steps, 3))  # fmt: skip


def stepped(bench: Bench, trainer: Trainer) -> tuple[float, list[float]]:
    """Return the median time of a step, drawing its batch included, and the losses."""
    noise, losses, took = trainer.seeds.noise(0, bench.device), [], []
    begun = time.perf_counter()
    for at, batch in enumerate(ahead(trainer._drawn(0), trainer.neighbors is not None)):
        loss = trainer.step(on_device(batch, bench.device), noise)
        losses.append(float(loss))  # waits for the device
        took.append(time.perf_counter() - begun)
        if at == bench.size.steps:
            break
        begun = time.perf_counter()
    return statistics.median(took[1:] or took), losses


def main() -> None:
    """Check and time everything; print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the records there")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        print("No CUDA device here: the same checks, small, on the processor. Times say nothing.")
    begun = time.perf_counter()
    with on_this_machine(asked.threads, device):
        bench = Bench(device)
        name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
        rates = {k: round(v / 1e12, 2) for k, v in bench.flops.items()}
        print(f"{name}: copies {bench.bytes_per_second / 1e9:.0f} GB/s, products {rates} TFLOP/s")
        data = load(bench.size.scale)
        kernels(bench, data)
        knn(bench)
        epochs(bench, data)
    print(f"all in {time.perf_counter() - begun:.0f} s")
    if asked.json:
        asked.json.write_text("\n".join(map(json.dumps, bench.records)) + "\n")
    if any(record["agrees"] is False for record in bench.records):
        raise SystemExit("something does not agree with its twin")


if __name__ == "__main__":
    main()
