"""Bad lines, as they occur in downloaded files."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np

JSON_FLAWS = (
    b'{"reviewerID": "A2", "asin": "B00',
    b'{"summary": "neither user, item nor key"}',
    b'{"reviewerID": "A2\xff\xfe", "asin": "B000000001", "overall": 5.0, "unixReviewTime": 1}',
    b"<html><body>503 Service Unavailable</body></html>",
    b'["a", "list"]',
    b"\0\0\0\0\0\0\0\0",
)
"""Cut short, without keys, not UTF-8, an error page, no mapping, a hole in the disk."""

REVIEW_FLAWS = (
    *JSON_FLAWS,
    b'{"reviewerID": "A2", "asin": "B000000001", "overall": NaN, "unixReviewTime": 1404172800}',
    b'{"reviewerID": "A2", "asin": "B000000001", "overall": 4.0, "unixReviewTime": "soon"}',
    b'{"user_id": "A2", "parent_asin": "", "rating": 4.0, "timestamp": 1404172800000}',
)
"""Also: no number for stars, no time, an empty key."""

CSV_FLAWS = (
    b"A2,B000000001,4.0",
    b",,5.0,1404172800",
    b"A2,B000000001,NaN,1404172800",
    b"A2,B000000001\xff,4.0,1404172800",
    b'A2,"B000000001,4.0,1404172800',
)
"""A field short, no keys, no number for stars, not UTF-8, a quote that never closes."""


def interspersed(
    lines: Iterator[bytes], count: int, share: float, flaws: Sequence[bytes], seed: int
) -> Iterator[bytes]:
    """Yield the ``count`` lines, with ``share`` times as many flaws between them."""
    rng = np.random.default_rng([seed, count])
    after = np.sort(rng.integers(0, max(1, count), round(share * count))).tolist()
    flaw = cycle(flaws)
    at = 0
    for number, line in enumerate(lines):
        yield line
        while at < len(after) and after[at] == number:
            yield next(flaw)
            at += 1
