"""The second stage: retrieved candidates put in order by everything that is known of them.

Shared by the rank stage, which fits it, the evaluation, and the service; numpy and scipy only.
"""

from pipeline.ranking.scorer import RankedScorer
from pipeline.ranking.space import Space
from pipeline.ranking.store import SecondStage, open_second_stage

__all__ = ["RankedScorer", "SecondStage", "Space", "open_second_stage"]
