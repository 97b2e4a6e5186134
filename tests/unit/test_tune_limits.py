"""The median rule against optuna's own pruner, its slow twin here."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.tune.limits import MIN_EPOCHS, MIN_FINISHED, behind, best_so_far, limits

EPOCHS = 12
VALUES = st.floats(0, 1).map(lambda v: round(v, 3))
CURVES = st.lists(VALUES, min_size=EPOCHS, max_size=EPOCHS).map(
    lambda values: [(epoch + 1, value) for epoch, value in enumerate(values)]
)


def says_optuna(finished, curve) -> bool:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=MIN_FINISHED, n_warmup_steps=MIN_EPOCHS)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    space = {"x": FloatDistribution(0, 1)}
    for each in finished:
        known = dict(enumerate(map(float, best_so_far(each, EPOCHS))))
        study.add_trial(create_trial(
            state=TrialState.COMPLETE, value=1.0, params={"x": 0.5}, distributions=space,
            intermediate_values=known,
        ))  # fmt: skip
    trial = study.ask(space)
    for epoch, value in curve:
        trial.report(value, epoch - 1)
    return bool(trial.should_prune())


@settings(max_examples=60)
@given(st.lists(CURVES, min_size=1, max_size=9), CURVES, st.integers(1, EPOCHS))
def test_the_rule_is_optunas_median_pruner_on_the_best_so_far(finished, curve, epochs):
    assert behind(curve[:epochs], limits(finished)) == says_optuna(finished, curve[:epochs])


@settings(max_examples=60)
@given(st.lists(CURVES, min_size=MIN_FINISHED, max_size=9))
def test_whoever_leads_is_never_stopped(finished):
    asked = limits(finished)
    best = max(finished, key=lambda c: tuple(best_so_far(c, EPOCHS)[MIN_EPOCHS:]))
    leads = all(
        (best_so_far(best, EPOCHS)[MIN_EPOCHS:] >= best_so_far(c, EPOCHS)[MIN_EPOCHS:]).all()
        for c in finished
    )
    if leads:
        assert not any(behind(best[:epoch], asked) for epoch in range(1, EPOCHS + 1))


def test_nothing_is_asked_early_or_of_few():
    curve = [(epoch, 1.0) for epoch in range(1, 61)]
    assert limits([curve] * (MIN_FINISHED - 1)) == ()
    asked = limits([curve] * MIN_FINISHED)
    assert asked[:6] == (None,) * 6
    assert set(asked[6:]) == {1.0}
    assert not behind([(6, 0.0)], asked)
    assert behind([(7, 0.999)], asked)
    assert not behind([(7, 1.0)], asked)
    assert not behind([], asked)


def test_a_training_that_stopped_early_keeps_its_best():
    assert best_so_far([(2, 0.5), (4, 0.3)], 6).tolist() == [
        -float("inf"), 0.5, 0.5, 0.5, 0.5, 0.5,
    ]  # fmt: skip


def test_a_longer_training_meets_the_last_limit():
    asked = limits([[(epoch, 0.5) for epoch in range(1, 11)]] * MIN_FINISHED)
    assert behind([(40, 0.4)], asked)
    assert not behind([(40, 0.6)], asked)


@pytest.mark.parametrize("every", [2, 5])
def test_validations_may_be_rare(every):
    curve = [(epoch, epoch / 20) for epoch in range(every, 21, every)]
    asked = limits([curve] * MIN_FINISHED)
    assert not any(behind(curve[: n + 1], asked) for n in range(len(curve)))
