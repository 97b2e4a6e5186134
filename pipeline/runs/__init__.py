"""The records of runs: what was asked, where, what it took, and what came of it.

``<store>/runs/<run_id>/`` holds ``run.json`` and ``events.jsonl`` (``pipeline.measure.track``).
"""

from pipeline.runs.curves import Curves, curves_of
from pipeline.runs.diff import Difference, diff
from pipeline.runs.listing import Condition, all_runs, chosen, find, folder_of, headline, look
from pipeline.runs.recording import RUNS, Recording, behind, recorded

__all__ = [
    "RUNS",
    "Condition",
    "Curves",
    "Difference",
    "Recording",
    "all_runs",
    "behind",
    "chosen",
    "curves_of",
    "diff",
    "find",
    "folder_of",
    "headline",
    "look",
    "recorded",
]
