"""Several training seeds of two models: what users and what seeds add to the uncertainty.

Every seed's model is measured with every user, so a value has an effect of its seed, one of its
user and one of both: a crossed two-way layout with random effects. The variance of the difference
of two means is the users' part plus the seeds' part of either model, each estimated by its own mean
square, less the interaction, which both of them hold (Cornfield and Tukey 1956), with
Satterthwaite's (1946) degrees of freedom and Student's quantiles.

Why no hierarchical bootstrap: resampling three seeds keeps two thirds of their variance and knows
nothing of Student's t, which is 4.3 there and not 1.96; and of a crossed layout no resampling
estimates the variance without bias (McCullagh 2000), only from above (Owen 2007). In simulation the
layout's interval covers as it should from three seeds on (docs/concepts/statistics.md).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from pipeline.measure.stats.draws import LEVEL, Floats, Interval


@dataclass(frozen=True)
class Spread:
    """The variance of an estimate, in its parts, and how well it is known."""

    users: float
    ours: float
    """Of our seeds; 0 where there is one, which tells nothing of others."""
    theirs: float
    variance: float
    freedom: float

    @property
    def error(self) -> float:
        """Return the standard error."""
        return float(np.sqrt(self.variance))

    @property
    def seed_share(self) -> float:
        """Return the share of the variance that seeds add."""
        parts = self.users + self.ours + self.theirs
        return (self.ours + self.theirs) / parts if parts else 0.0

    def interval(self, value: float) -> Interval:
        """Return the 95 % t-interval around an estimate."""
        half = self.error * float(stdtrit(self.freedom, (1 + LEVEL) / 2))
        return Interval(value, value - half, value + half)

    def p(self, value: float) -> float:
        """Return the two-sided p-value of the hypothesis that 0 is estimated."""
        if self.error == 0:
            return 1.0 if value == 0 else 0.0
        return float(2 * stdtr(self.freedom, -abs(value) / self.error))


def spread(ours: Floats, theirs: Floats, times: float = 1.0) -> Spread:
    """Return the uncertainty of the mean of ours less ``times`` the mean of theirs.

    Seeds of ours and theirs are taken to be drawn independently, even where they share numbers.

    Shapes:
        ours: (S seeds, B users). theirs: (T, B), the same users.
    """
    users = ours.shape[1]
    per_user = ours.mean(axis=0, dtype=np.float64) - times * theirs.mean(axis=0, dtype=np.float64)
    of_users = float(per_user.var(ddof=1)) / users if users > 1 else 0.0
    (first, both), (second, too) = _of_seeds(ours), _of_seeds(theirs)
    second, too = times**2 * second, times**2 * too
    total = max(of_users + first + second - both - too, of_users, first, second)
    uncertain = (
        of_users**2 / max(1, users - 1)
        + first**2 / max(1, len(ours) - 1)
        + second**2 / max(1, len(theirs) - 1)
    )
    freedom = total**2 / uncertain if uncertain else float(max(1, users - 1))
    return Spread(of_users, first, second, total, freedom)


def _of_seeds(values: Floats) -> tuple[float, float]:
    """Return the variance of the mean due to seeds, and the interaction's part in it.

    Shapes:
        values: (S, B).
    """
    seeds, users = values.shape
    if seeds < 2 or users < 2:
        return 0.0, 0.0
    by_seed = values.mean(axis=1, dtype=np.float64)
    by_user = values.mean(axis=0, dtype=np.float64)
    rest = values - by_seed[:, None] - by_user + by_seed.mean()
    interaction = float(np.einsum("su,su->", rest, rest)) / ((seeds - 1) * (users - 1))
    return float(by_seed.var(ddof=1)) / seeds, interaction / (seeds * users)
