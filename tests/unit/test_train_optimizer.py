"""RowAdamW: Adam where all rows are touched, and untouched rows as if the step had not been."""

import pytest
import torch
from torch.nn import functional

from pipeline.models.sampled import SampledGat
from pipeline.train.optimizer import RowAdamW, optimizer_of
from tests.train_worlds import config_of, data_of, drawn, model_of
from tests.worlds import planted

WIDTH = 3


def table(rows: int = 6) -> torch.nn.Parameter:
    return torch.nn.Parameter(drawn(0, rows, WIDTH))


def step(optimizer, parameter, rows, target) -> None:
    """A gradient that is sparse and names rows in any order, some twice."""
    optimizer.zero_grad()
    found = functional.embedding(torch.tensor(rows), parameter, sparse=True)
    (found - target[: len(rows)]).square().sum().backward()
    optimizer.step()


def test_touching_every_row_is_adam():
    ours, theirs, target = table(), table(), drawn(1, 6, WIDTH)
    own = RowAdamW([{"params": [ours]}], 0.05)
    adam = torch.optim.Adam([theirs], 0.05)
    for _ in range(5):
        step(own, ours, [3, 1, 0, 2, 5, 4], target)
        adam.zero_grad()
        (theirs[torch.tensor([3, 1, 0, 2, 5, 4])] - target).square().sum().backward()
        adam.step()
        torch.testing.assert_close(ours, theirs)


def test_each_row_is_adam_of_the_steps_that_touched_it():
    """The twin: a table of one row for each row, with its own Adam."""
    ours, target = table(), drawn(1, 6, WIDTH)
    own = RowAdamW([{"params": [ours]}], 0.05)
    alone = [torch.nn.Parameter(row.detach().clone()) for row in ours]
    adams = [torch.optim.Adam([row], 0.05) for row in alone]
    for rows in ([1, 3, 1], [3, 0], [1], [1, 4, 4]):
        step(own, ours, rows, target)
        for row in set(rows):
            adams[row].zero_grad()
            wanted = target[[at for at, r in enumerate(rows) if r == row]]
            (alone[row] - wanted).square().sum().backward()
            adams[row].step()
        torch.testing.assert_close(ours.detach(), torch.stack([r.detach() for r in alone]))


def test_dense_gradients_are_adamw():
    ours, theirs, target = table(), table(), drawn(1, 6, WIDTH)
    pairs = [
        (ours, RowAdamW([{"params": [ours], "weight_decay": 0.1}], 0.05)),
        (theirs, torch.optim.AdamW([theirs], 0.05, weight_decay=0.1)),
    ]
    for _ in range(5):
        for parameter, optimizer in pairs:
            optimizer.zero_grad()
            (parameter - target).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_untouched_rows_and_their_moments_stay():
    ours, target = table(), drawn(1, 6, WIDTH)
    own = RowAdamW([{"params": [ours]}], 0.05)
    step(own, ours, [0, 1, 2], target)
    before = {name: value.clone() for name, value in own.state[ours].items()}
    step(own, ours, [2], target)
    for name, value in own.state[ours].items():
        others = [0, 1, 3, 4, 5]
        assert torch.equal(value[others], before[name][others])
        assert not torch.equal(value[2], before[name][2])


def test_a_restored_state_goes_on_the_same():
    target, results = drawn(1, 6, WIDTH), []
    for interrupted in (False, True):
        ours = table()
        own = RowAdamW([{"params": [ours]}], 0.05)
        step(own, ours, [0, 2], target)
        if interrupted:
            state, own = own.state_dict(), RowAdamW([{"params": [ours]}], 0.05)
            own.load_state_dict(state)
        step(own, ours, [2, 5], target)
        results.append(ours.detach().clone())
    assert torch.equal(*results)


@pytest.mark.parametrize("fan_out", [None, (2, 2)])
def test_fan_out_chooses_it(fan_out):
    config = config_of(fan_out=fan_out)
    model = model_of(data_of(planted()), config)
    assert isinstance(model, SampledGat) is (fan_out is not None)
    kind = torch.optim.AdamW if fan_out is None else RowAdamW
    assert type(optimizer_of(model, config)) is kind
