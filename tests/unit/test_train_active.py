"""Items that training leaves out: what is left out, and what they get afterwards."""

import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline import files
from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.errors import ConfigError
from pipeline.models import MODELS
from pipeline.models.attach import Attacher
from pipeline.models.gat import USER_ITEM, Gat
from pipeline.train.active import calibrated, trains_on_active, with_rest
from pipeline.train.data import load
from pipeline.train.loop import Trainer
from pipeline.train.places import LOUDEST
from pipeline.train.stage import _outputs, options_of
from tests import worlds

WORLD = worlds.planted()
CONFIG = TrainConfig(
    items="active", width=8, layers=2, heads=2, loss="softmax", init_std=0.1, negatives=16,
    learning_rate=0.02, weight_decay=1e-2, centre_content=True, gate_rate=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    made = {k: getattr(worlds, k)(store, WORLD) for k in ("tables", "embeddings", "graphs")}
    return load(made, CONFIG), load(made, CONFIG.model_copy(update={"items": "all"}))


@pytest.fixture(scope="module")
def trained(data) -> Gat:
    model = MODELS["gat"](data[0].inputs, options_of(CONFIG, [*data[0].inputs.relations]), 0)
    trainer = Trainer(model, data[0], CONFIG, 0)
    for epoch in range(30):
        trainer.epoch(epoch, 0)
    assert isinstance(model, Gat)
    return model


def test_the_nearest_active_items_are_gone_by_where_they_are_known(tmp_path):
    store = Store(tmp_path)
    made = {k: getattr(worlds, k)(store, WORLD) for k in ("tables", "embeddings", "graphs")}
    before = made["graphs"]

    def write(into):
        for name in before.manifest["files"]:
            shutil.copy(before.path / name, into)
        near = before.matrix("image_knn.npz")
        files.write_matrix(into / "text_active.npz", near, ranked=True)

    made["graphs"] = worlds.publish(store, "graphs", "ac71", write)
    found = load(made, CONFIG.model_copy(update={"items": "all"})).inputs.relations
    np.testing.assert_array_equal(
        found["text"].edges.matrix(found["text"].weights).to_dense(),
        found["image"].edges.matrix(found["image"].weights).to_dense(),
    )


class TestWhatIsLeftOut:
    def test_exactly_items_without_training_interactions_are(self, data):
        active, whole = data
        hot = np.flatnonzero(whole.inputs.hot.numpy())
        assert active.rest is not None and whole.rest is None
        assert active.rest.active.tolist() == hot.tolist()
        assert sorted([*active.rest.rows, *hot]) == list(range(WORLD.n_items))
        assert (active.train != whole.train[:, hot]).nnz == 0
        assert (active.validation != whole.validation[:, hot]).nnz == 0

    def test_edges_and_content_are_those_of_the_whole(self, data):
        active, whole = data
        hot, rest = active.rest.active, active.rest.rows
        for name, relation in whole.inputs.relations.items():
            every = relation.edges.matrix(relation.weights).to_dense()
            every = every * whole.divisors[name] / active.divisors[name]
            here = active.inputs.relations[name]
            torch.testing.assert_close(
                here.edges.matrix(here.weights).to_dense(), every[hot][:, hot]
            )
            np.testing.assert_allclose(
                active.rest.relations[name].toarray(), every[rest][:, hot].numpy(), rtol=1e-6
            )
        for name, vectors in whole.inputs.vectors.items():
            assert torch.equal(active.inputs.vectors[name], vectors[hot])

    def test_auto_leaves_out_a_majority_only(self):
        auto = TrainConfig()
        assert trains_on_active(auto, np.arange(10) < 5)
        assert not trains_on_active(auto, np.arange(10) < 6)
        assert not trains_on_active(auto.model_copy(update={"items": "all"}), np.arange(10) < 1)
        assert not trains_on_active(TrainConfig(model="lightgcn"), np.arange(10) < 1)

    def test_a_model_that_cannot_attach_says_so(self):
        with pytest.raises(ConfigError, match=r"train\.items: active wants model gat"):
            trains_on_active(CONFIG.model_copy(update={"model": "mf"}), np.ones(3, bool))


def by_hand(model: Gat, new) -> torch.Tensor:
    """Return the vectors of new items one at a time, one edge at a time."""
    layers, options = [items for _, items in model.every_layer()], model.options
    content, scale = model.fusion.of_new(new.vectors, new.present), model.relation_scale()
    edges = {n: (r.edges.matrix(r.weights).to_dense(), r) for n, r in new.relations.items()}
    found = []
    for item in range(new.count):
        degree = sum(
            options.relation_weights[n] * dense[item].sum() for n, (dense, _) in edges.items()
        )
        own = [content[item]]
        for layer in layers[:-1]:
            arrived = -options.shift * own[-1]
            for name, (dense, _) in edges.items():
                for sender in dense[item].nonzero().flatten().tolist():
                    gate = gate_of(model, name, content[item], layers[0][sender])
                    weight = options.relation_weights[name] * dense[item, sender] * scale[name]
                    root = (degree * model.joint_degrees[sender]) ** 0.5
                    arrived = arrived + gate * weight / root * layer[sender]
            own.append(arrived / options.scale)
        found.append(torch.stack(own).mean(dim=0))
    return torch.stack(found).detach()


def gate_of(model: Gat, name: str, receiver, sender):
    gates = model.gates[name]
    unit = [x / x.square().mean().sqrt().clamp(min=1e-12) for x in (receiver, sender)]
    queries, keys = (unit[0] @ gates.query), (unit[1] @ gates.key)
    heads = [q @ k / gates.per_head**0.5 for q, k in
             zip(queries.chunk(gates.heads), keys.chunk(gates.heads), strict=True)]  # fmt: skip
    strengths = gates.bounded_strength()
    return 1 + sum(g * h.tanh() for g, h in zip(strengths, heads, strict=True)) / gates.heads


class TestWhatTheyGet:
    def test_layers_over_edges_from_trained_items(self, data, trained):
        _, new = next(data[0].rest.blocks(torch.device("cpu")))
        model = deepcopy(trained)
        for gates in model.gates.values():
            torch.nn.init.constant_(gates.strength, 0.7)
        torch.testing.assert_close(
            Attacher(model)(new).vectors, by_hand(model, new), rtol=1e-4, atol=1e-5
        )

    def test_trained_items_do_not_hear_of_them(self, data, trained):
        outputs = trained.outputs()
        whole = with_rest(trained, outputs, data[0].rest).vectors
        active = data[0].rest.active
        for name, here in ("item_vectors", "item_vectors"), ("fold_in", "fold_in"):
            assert torch.equal(whole[name][active], outputs.vectors[here])
            assert whole[name].shape == (WORLD.n_items, 8)
        assert torch.equal(whole["user_vectors"], outputs.vectors["user_vectors"])

    def test_each_is_the_same_alone_as_among_others(self, data, trained):
        rest = data[0].rest
        together = with_rest(trained, trained.outputs(), rest).vectors["item_vectors"]
        for at, row in enumerate(rest.rows.tolist()):
            relations = {n: m[at : at + 1] for n, m in rest.relations.items()}
            alone = replace(rest, rows=rest.rows[at : at + 1], relations=relations)
            _, new = next(alone.blocks(torch.device("cpu")))
            torch.testing.assert_close(Attacher(trained)(new).vectors[0], together[row])

    def test_users_want_new_items_of_their_own_cluster(self, data, trained):
        vectors = with_rest(trained, trained.outputs(), data[0].rest).vectors
        scores = vectors["user_vectors"] @ vectors["item_vectors"][WORLD.warm_items].T
        best = WORLD.item_cluster[WORLD.warm_items[scores.argmax(dim=1).numpy()]]
        known = np.arange(WORLD.n_users) != WORLD.cold_user
        assert (best == WORLD.user_cluster)[known].mean() > 0.7

    def test_an_item_that_nothing_is_known_of_gets_a_zero_vector(self, data, trained):
        rest = data[0].rest
        nothing = {n: np.zeros_like(p) for n, p in rest.present.items()}
        empty = {n: m * 0 for n, m in rest.relations.items()}
        _, new = next(replace(rest, present=nothing, relations=empty).blocks(torch.device("cpu")))
        assert not Attacher(trained)(new).vectors.any()
        assert USER_ITEM not in new.relations


class TestHowLoudTheyAre:
    @pytest.fixture
    def whole(self, data, trained):
        return with_rest(trained, trained.outputs(), data[0].rest)

    def test_lengths_change_and_nothing_else(self, data, whole):
        rest = data[0].rest
        found, scale = calibrated(whole, rest.active, data[0].train, 0.0)
        assert 0 < scale < 1
        before, after = whole.vectors["item_vectors"], found.vectors["item_vectors"]
        assert torch.equal(after[rest.active], before[rest.active])
        torch.testing.assert_close(after[rest.rows], scale * before[rest.rows])
        for name in ("user_vectors", "fold_in"):
            assert torch.equal(found.vectors[name], whole.vectors[name])

    def test_a_larger_share_is_a_greater_length(self, data, whole):
        active, train = data[0].rest.active, data[0].train
        scales = [calibrated(whole, active, train, share)[1] for share in (0, 0.05, 0.2, 1)]
        assert scales == sorted(scales) and scales[0] < 1 and scales[-1] == LOUDEST

    def test_what_is_due_is_what_validation_gave(self, data):
        active, everything = data
        due = np.isin(everything.validation.indices, active.rest.rows).mean()
        assert active.rest.wanted == pytest.approx(due)

    @pytest.mark.parametrize("share", [None, "auto", 0.2])
    @pytest.mark.parametrize("which", [0, 1])
    def test_auto_is_for_attached_items_and_a_number_for_all(self, data, which, share):
        told = data[which]
        config = CONFIG.model_copy(update={"new_item_share": share})
        model = MODELS["gat"](told.inputs, options_of(config, [*told.inputs.relations]), 0)
        found, facts = _outputs(model, told, config)
        plain, _ = _outputs(model, told, config.model_copy(update={"new_item_share": None}))
        assert ("new_items_scale" in facts) == (share == 0.2 or (share == "auto" and not which))
        scale = facts.get("new_items_scale", 1.0)
        rows = data[0].rest.rows
        torch.testing.assert_close(
            found.vectors["item_vectors"][rows], scale * plain.vectors["item_vectors"][rows]
        )
