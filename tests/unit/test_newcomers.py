"""New items' vectors in numpy: what torch gives, for every fusion, each item for itself."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.errors import ArtifactError
from pipeline.models import MODELS
from pipeline.models.attach import Attacher
from pipeline.models.fusion import FUSIONS
from pipeline.newcomers import Arrivals, kit_files, open_network, write_kit
from pipeline.newcomers.fusion import RULES, SHARES
from pipeline.train.data import load
from pipeline.train.loop import Trainer
from pipeline.train.stage import options_of
from tests import worlds

WORLD = worlds.planted()
BASE = {
    "items": "active", "width": 8, "layers": 2, "heads": 2, "loss": "softmax", "init_std": 0.1,
    "negatives": 16, "learning_rate": 0.02, "weight_decay": 1e-2, "gate_rate": 1.0,
}  # fmt: skip
KINDS = [
    *({"fusion": name} for name in sorted(FUSIONS.names())),
    {"fusion": "gated", "centre_content": True},
    {"fusion": "mixture", "experts_used": 1},
    {"fusion": "mixture", "experts_used": 0},
    {"width": 3},  # modalities are wider than twice this: turned to their principal directions
    {"layers": 0},
    {"layers": 3, "shift": 0.4, "scale": 1.7},
    {"heads": 0},
    {"attend_users": True},
]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    return {k: getattr(worlds, k)(store, WORLD) for k in ("tables", "embeddings", "graphs")}


def trained(artifacts, **settings):
    config = TrainConfig(**{**BASE, **settings})
    data = load(artifacts, config)
    model = MODELS["gat"](data.inputs, options_of(config, [*data.inputs.relations]), 0)
    trainer = Trainer(model, data, config, 0)
    for epoch in range(4):
        trainer.epoch(epoch, 0)
    for gates in model.gates.values():
        torch.nn.init.uniform_(gates.strength, -1, 1)
    return model, data


def kit(tmp_path, model, data, loudness=1.0):
    """Return the network of the published kit."""

    def write(into):
        settings, tensors = Attacher(model).kit()
        for name, relation in settings["relations"].items():
            relation["divisor"] = data.divisors[name]
        settings["loudness"] = loudness
        rows = np.arange(data.inputs.items) if data.rest is None else data.rest.active
        write_kit(into, settings, {n: t.numpy() for n, t in tensors.items()}, rows)

    return worlds.publish(Store(tmp_path), "model", "ca7", write)


def arrivals(data, network) -> tuple[Arrivals, object]:
    """Return what training left out, as numpy and as torch takes it."""
    rows, new = next(data.rest.blocks(torch.device("cpu")))
    edges = {
        n: data.rest.relations[n] * np.float32(relation.divisor)
        for n, relation in network.relations.items()
    }
    vectors = {n: t.numpy() for n, t in new.vectors.items()}
    present = {n: t.numpy() for n, t in new.present.items()}
    return Arrivals(vectors, present, edges, len(rows)), new


def test_every_rule_of_fusion_has_its_twin():
    assert sorted(RULES) == sorted(FUSIONS.names())


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_numpy_gives_what_torch_gives(artifacts, tmp_path, settings):
    model, data = trained(artifacts, **settings)
    network = open_network(kit(tmp_path, model, data))
    new, torch_new = arrivals(data, network)
    ours, theirs = network(new), Attacher(model)(torch_new)
    np.testing.assert_allclose(ours.items, theirs.vectors, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(ours.fold_in, theirs.fold_in, atol=1e-5, rtol=1e-5)
    assert ours.items.dtype == ours.fold_in.dtype == np.float32
    assert ours.items.any()


@pytest.mark.parametrize("fusion", sorted(SHARES))
def test_shares_add_up_to_the_content(artifacts, tmp_path, fusion):
    model, data = trained(artifacts, fusion=fusion)
    network = open_network(kit(tmp_path, model, data))
    new, _ = arrivals(data, network)
    shares = network.fusion.shares(new.vectors, new.present)
    shown = np.stack([new.present[m] for m in network.fusion.modalities], axis=1)
    assert not shares[~shown].any()
    np.testing.assert_allclose(shares.sum(axis=1), shown.any(axis=1), atol=1e-6)


@pytest.mark.parametrize("fusion", sorted(set(RULES) - set(SHARES)))
def test_a_fusion_that_mixes_has_no_shares(artifacts, tmp_path, fusion):
    model, data = trained(artifacts, fusion=fusion)
    network = open_network(kit(tmp_path, model, data))
    new, _ = arrivals(data, network)
    assert network.fusion.shares(new.vectors, new.present) is None


@pytest.mark.parametrize("settings", [{}, {"heads": 0}, {"layers": 0}], ids=str)
def test_attention_is_that_of_the_trained_edges(artifacts, tmp_path, settings):
    model, data = trained(artifacts, **settings)
    network = open_network(kit(tmp_path, model, data))
    with torch.no_grad():
        weights = model.edge_weights(model.users, model.item_input(None))
    for name, relation in model.relations.items():
        ends = relation.edges.rows.numpy(), relation.edges.indices.numpy()
        given = relation.weights.numpy() * data.divisors[name]
        ours, gates = network.attention(name, ends, given)
        if settings != {"layers": 0}:  # where nothing travels there is nothing to gate
            np.testing.assert_allclose(ours, weights[name], rtol=1e-4, atol=1e-7)
        assert ((gates > 0) & (gates < 2)).all()


@pytest.fixture(scope="module")
def made(artifacts, tmp_path_factory):
    model, data = trained(artifacts)
    return open_network(kit(tmp_path_factory.mktemp("kit"), model, data)), data


def test_new_items_are_as_loud_as_those_that_were_attached(artifacts, tmp_path):
    model, data = trained(artifacts)
    network = open_network(kit(tmp_path, model, data, loudness=0.25))
    new, _ = arrivals(data, network)
    plain = replace(network, loudness=1.0)(new)
    np.testing.assert_allclose(network(new).items, 0.25 * plain.items, rtol=1e-6)
    np.testing.assert_array_equal(network(new).fold_in, plain.fold_in)


class TestOneByOne:
    def test_an_item_is_the_same_alone_as_among_others(self, made):
        network, data = made
        new, _ = arrivals(data, network)
        together = network(new)
        for at in range(new.count):
            part = slice(at, at + 1)
            alone = Arrivals(
                {n: v[part] for n, v in new.vectors.items()},
                {n: p[part] for n, p in new.present.items()},
                {n: e[part] for n, e in new.edges.items()},
                1,
            )
            found = network(alone)
            np.testing.assert_allclose(found.items[0], together.items[at], atol=1e-6)
            np.testing.assert_allclose(found.fold_in[0], together.fold_in[at], atol=1e-6)

    def test_bytes_of_what_is_not_present_do_not_reach_the_vector(self, made):
        network, data = made
        new, _ = arrivals(data, network)
        absent = {**new.present, "image": np.zeros(new.count, bool)}
        noisy = {**new.vectors, "image": new.vectors["image"] + 1e6}
        ours = network(replace(new, present=absent))
        assert np.array_equal(
            network(replace(new, present=absent, vectors=noisy)).items, ours.items
        )

    def test_an_item_of_which_nothing_is_known_gets_zeros(self, made):
        network, data = made
        new, _ = arrivals(data, network)
        nothing = {n: np.zeros(new.count, bool) for n in new.present}
        none = {n: sp.csr_matrix(e.shape, dtype=np.float32) for n, e in new.edges.items()}
        found = network(replace(new, present=nothing, edges=none))
        assert not found.items.any() and not found.fold_in.any()
        assert not network(replace(new, present=nothing, edges={})).items.any()


def test_a_network_over_all_items_takes_new_ones_too(artifacts, tmp_path):
    model, data = trained(artifacts, items="all")
    network = open_network(kit(tmp_path, model, data))
    assert network.rows.tolist() == list(range(WORLD.n_items))
    assert network.layers.shape == (2, WORLD.n_items, 8)


def test_training_is_the_same_whatever_the_rest_of_the_catalogue(artifacts, tmp_path):
    """The edges to items without interactions have no say in what active ones weigh."""
    config = TrainConfig(**BASE)
    graphs = artifacts["graphs"]

    def write(into):
        for name in graphs.manifest["files"]:
            if name == "text_knn.npz":
                bent = graphs.matrix(name).tolil()
                bent[WORLD.warm_items] *= 0.5
                bent[:, WORLD.warm_items] *= 0.5
                worlds.files.write_matrix(into / name, bent.tocsr())
            else:
                (into / name).write_bytes(graphs.file(name).read_bytes())

    other = worlds.publish(Store(tmp_path), "graphs", "be17", write)
    before, after = load(artifacts, config), load({**artifacts, "graphs": other}, config)
    assert before.divisors == after.divisors
    assert torch.equal(
        before.inputs.relations["text"].weights, after.inputs.relations["text"].weights
    )
    assert np.isclose(before.inputs.relations["text"].weights.mean(), 1)


def test_parts_that_do_not_fit_are_refused(artifacts, tmp_path):
    model, data = trained(artifacts)
    whole = kit(tmp_path / "whole", model, data)
    assert set(kit_files(whole)) == {
        "attach.json", "attach.safetensors", "attach_layers.npy", "attach_rows.npy",
    }  # fmt: skip

    def write(into):
        for name in kit_files(whole):
            (into / name).write_bytes(whole.file(name).read_bytes())
        worlds.files.write_array(into / "attach_rows.npy", np.arange(3))

    bent = worlds.publish(Store(tmp_path / "bent"), "model", "be17", write)
    with pytest.raises(ArtifactError, match="what attaches new items"):
        open_network(bent)


def test_a_model_without_a_kit_has_no_network(tmp_path):
    assert open_network(worlds.model(Store(tmp_path), WORLD)) is None
