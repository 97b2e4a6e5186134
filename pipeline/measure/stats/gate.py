"""``ndcg@20 >= -0.5%``: what a candidate must not fall below, decided by an interval.

A gate is a test of non-inferiority (Piaggio et al. 2012): it passes where the lower end of the
95 % interval of the change is at or above the bound, so a candidate that is truly worse than the
bound passes with a chance of 2.5 % at most. It fails where the change is bad, and also where too
few users were measured to tell. ``<=`` looks at the upper end, for what should not grow. Several
gates need no correction: all of them must pass (Berger 1982).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.measure.errors import MeasureError
from pipeline.measure.stats.verdict import Finding

_FORM = re.compile(
    r"^\s*(?P<metric>[\w@.-]+)\s*(?:\[(?P<part>[^\]]+)\])?\s*(?P<sign>>=|<=)\s*"
    r"(?P<bound>[+-]?\d*\.?\d+(?:e-?\d+)?)\s*(?P<percent>%?)\s*$"
)


@dataclass(frozen=True)
class Gate:
    """A bound on the change of one metric from the baseline to a candidate."""

    metric: str
    part: str
    """The slice; ``all`` for the whole split."""
    least: bool
    """Whether the change must stay above the bound; below it otherwise."""
    bound: float
    relative: bool
    """Whether the bound is a share of the baseline's mean, not a difference."""
    text: str

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """Return the gate of ``METRIC >= BOUND``, ``METRIC[SLICE] <= BOUND%`` and the like.

        Raises:
            MeasureError: it is written otherwise.
        """
        found = _FORM.match(text)
        if found is None:
            raise MeasureError(
                f"gate {text!r} is not understood; write METRIC >= BOUND, such as "
                f"'ndcg@20 >= -0.5%' (of the baseline's mean), 'ndcg@20[tail] >= -0.001' "
                f"(difference on a slice) or 'popularity_lift@20 <= 5%'"
            )
        bound, relative = float(found["bound"]), bool(found["percent"])
        return cls(
            found["metric"], found["part"] or "all", found["sign"] == ">=",
            bound / 100 if relative else bound, relative, " ".join(text.split()),
        )  # fmt: skip

    def concerns(self, finding: Finding) -> bool:
        """Return whether a finding is of this gate's metric and slice."""
        return (finding.sides.metric, finding.sides.part) == (self.metric, self.part)

    def judged(self, finding: Finding) -> "Passage":
        """Return whether a candidate passes, and why.

        Raises:
            MeasureError: the bound is relative and the baseline's mean is not surely above 0.
        """
        contrast = finding.contrast
        interval = contrast.relative if self.relative else contrast.difference
        if interval is None:
            raise MeasureError(
                f"gate {self.text!r}: {finding.sides.baseline} scores {contrast.baseline_value:.4g}"
                f", too near 0 for a share of it; give the bound as a difference, without %"
            )
        edge = interval.low if self.least else interval.high
        passed = edge >= self.bound if self.least else edge <= self.bound
        shown = ", ".join(self._written(each) for each in (interval.low, interval.high))
        end = "lower" if self.least else "upper"
        within = interval.value >= self.bound if self.least else interval.value <= self.bound
        why = "" if passed else _why(within=within)
        return Passage(
            self, finding.sides.candidate, passed,
            f"{'passed' if passed else 'failed'}: {self.text} for {finding.sides.candidate} "
            f"against {finding.sides.baseline}: {self._written(interval.value)} [{shown}], the "
            f"{end} end is {self._written(edge)}{why}",
        )  # fmt: skip

    def _written(self, value: float) -> str:
        return f"{100 * value:+.2f} %" if self.relative else f"{value:+.5f}"


def _why(*, within: bool) -> str:
    return "; too few users or seeds to rule the bound out" if within else "; beyond the bound"


@dataclass(frozen=True)
class Passage:
    """What became of one gate and one candidate."""

    gate: Gate
    candidate: str
    passed: bool
    sentence: str


def passages(gates: Sequence[Gate], findings: Sequence[Finding], baseline: str) -> list[Passage]:
    """Return what becomes of each gate for each candidate that was compared with ``baseline``.

    Raises:
        MeasureError: a gate is of something that was not compared.
    """
    found = []
    for gate in gates:
        against = [f for f in findings if gate.concerns(f) and f.sides.baseline == baseline]
        if not against:
            known = sorted({f"{f.sides.metric}[{f.sides.part}]" for f in findings})
            raise MeasureError(
                f"gate {gate.text!r} is of what was not compared; these were {known}"
            )
        found += [gate.judged(each) for each in against]
    return found
