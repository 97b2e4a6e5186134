"""Every leak that is looked for, planted in a copy of an honest run; the honest twin is clean."""

import shutil

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pipeline import files, leaks, schema
from pipeline.artifacts import Store
from pipeline.graph.cooccurrence import cooccurrence
from pipeline.interactions import user_item
from pipeline.models import MODELS, Inputs, Options
from pipeline.relations import symmetric
from pipeline.train.active import edges_of
from pipeline.train.loop import matrix_of
from tests.artifacts import leaky_runs as plant
from tests.artifacts.whole_runs import replaced, rewritten

ALL = (schema.TRAIN, schema.VALIDATION, schema.TEST)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    return plant.make(tmp_path_factory.mktemp("honest"))


@pytest.fixture
def store(honest, tmp_path):
    """A copy to spoil."""
    shutil.copytree(honest.root, tmp_path / "store", symlinks=True)
    return Store(tmp_path / "store")


@pytest.fixture
def run(store):
    return plant.find(store)


def test_an_honest_run_is_clean(honest):
    answers = [*leaks.examine(plant.find(honest))]
    found = [f for answer in answers for f in answer.findings if f.severity != leaks.NOTE]
    assert found == []
    assert sum(answer.made for answer in answers) >= 40


def found(store, severity, check):
    """Return the findings of one severity that one check made."""
    run = plant.find(store)
    for checks in leaks.CHECKS:
        made = [f for a in checks(run) if a.check == check for f in a.findings]
        if chosen := [finding for finding in made if finding.severity == severity]:
            return chosen
        assert not made, [(finding.severity, finding.what) for finding in made]
    raise AssertionError(f"no check found: {check}")


def counts(run, splits):
    return np.bincount(user_item(run.tables, splits).indices, minlength=run.train.shape[1])


# graphs


def test_test_edges_in_the_user_item_graph(store, run):
    leaky = user_item(run.tables, (schema.TRAIN, schema.TEST))
    plant.with_matrix(run.by_kind["graphs"], "user_item.npz", leaky)
    (finding,) = found(store, leaks.LEAK, "user-item edges are training alone")
    assert finding.count == int(run.log.of("test").sum())
    assert len(finding.examples) == 3
    assert finding.examples[0].startswith("user user-")


def test_edges_that_no_table_holds_are_suspicious(store, run):
    wrong = sp.lil_matrix(run.train)
    user = 0
    free = np.setdiff1d(np.arange(run.train.shape[1]), run.everything[user].indices)
    wrong[user, free[0]] = 1
    plant.with_matrix(run.by_kind["graphs"], "user_item.npz", sp.csr_matrix(wrong))
    (finding,) = found(store, leaks.SUSPICIOUS, "user-item edges are training alone")
    assert finding.count == 1


def test_cooccurrence_counted_over_all_splits(store, run):
    plant.with_matrix(
        run.by_kind["graphs"], "cooccurrence.npz", cooccurrence(run.everything, 10, 2)
    )
    (finding,) = found(store, leaks.LEAK, "co-occurrence counts training alone")
    assert finding.count > 100
    assert "in training" in finding.examples[0]


def test_counts_instead_of_cosines_are_fine(store, run):
    together = sp.csr_matrix(run.train.T @ run.train)
    together.setdiag(0)
    together.eliminate_zeros()
    plant.with_matrix(run.by_kind["graphs"], "cooccurrence.npz", together)
    assert "co-occurrence counts training alone" not in [c for _, c in plant.answers(store)]


def test_neighbours_by_content_that_are_neighbours_by_users(store, run):
    leaky = cooccurrence(run.everything, 10, 2)
    plant.with_matrix(run.by_kind["graphs"], "text_knn.npz", leaky)
    (finding,) = found(store, leaks.LEAK, "text neighbours come from content")
    assert finding.count > 100


def test_a_given_graph_is_noted_not_judged(store, run):
    graphs = run.by_kind["graphs"]
    plant.with_facts(graphs, text_knn={**graphs.facts["text_knn"], "source": "given"})
    (finding,) = found(store, leaks.NOTE, "text neighbours come from content")
    assert "given" in finding.what


def test_a_given_graph_that_joins_test_items_to_training(store, run):
    """Nothing says how a given graph was made, but it may know the split."""
    across = sp.csr_matrix(run.train.T @ user_item(run.tables, (schema.TEST,)))
    across.setdiag(0)
    across.eliminate_zeros()
    graphs = plant.with_matrix(run.by_kind["graphs"], "text_knn.npz", across)
    plant.with_facts(graphs, text_knn={**graphs.facts["text_knn"], "source": "given"})
    (finding,) = found(store, leaks.SUSPICIOUS, "text neighbours know no split")
    assert "join test items" in finding.what


# models


def test_item_knn_fitted_on_all_splits(store, run):
    inputs = Inputs(edges_of(run.everything))
    with torch.no_grad():
        made = MODELS["item_knn"](inputs, Options(neighbors=100, shrinkage=10.0), 0).outputs()
    plant.with_matrix(run.models["item_knn"], "item_item.npz", matrix_of(made))
    (finding,) = found(store, leaks.LEAK, "item-kNN weights come from training")
    assert finding.count > 1000


def test_popularity_that_counts_all_splits(store, run):
    leaky = counts(run, ALL).astype(np.float32)[:, None]
    plant.with_arrays(run.models["popularity"], item_vectors=leaky)
    (finding,) = found(store, leaks.LEAK, "popularity counts training alone")
    assert "in all splits" in finding.examples[0]


def test_weights_of_an_item_that_training_never_shows(store, run):
    """Without content, nothing can relate an item to others but interactions."""
    for name in ("text_knn.npz", "image_knn.npz"):
        nothing = sp.csr_matrix((run.train.shape[1],) * 2)
        plant.with_matrix(run.by_kind["graphs"], name, nothing)
    absent = np.zeros(run.train.shape[1], dtype=bool)
    plant.with_arrays(run.by_kind["embeddings"], text_present=absent, image_present=absent)
    bare = plant.find(store)
    weights = run.models["item_knn"].matrix("item_item.npz")
    assert leaks.models.reachable_weights(bare, weights, "").findings == ()
    unseen = np.flatnonzero((counts(run, ALL[:1]) == 0) & (counts(run, ALL) > 0))[0]
    owner = run.everything[:, unseen].indices[0]
    changed = sp.lil_matrix(weights)
    changed[run.train[owner].indices[0], unseen] = 0.5
    answer = leaks.models.reachable_weights(bare, sp.csr_matrix(changed), "")
    assert [(f.severity, f.count) for f in answer.findings] == [(leaks.LEAK, 1)]


@pytest.mark.parametrize(
    ("splits", "severity"),
    [
        (ALL[:1], None),
        ((schema.TRAIN, schema.TEST), leaks.LEAK),
        ((schema.TRAIN, schema.VALIDATION), leaks.SUSPICIOUS),
        (ALL, leaks.SUSPICIOUS),
    ],
    ids=["train", "train+test", "train+validation", "all"],
)
def test_what_a_model_was_fitted_on_is_seen_in_its_vectors(store, run, splits, severity):
    plant.fitted(run.models["model"], user_item(run.tables, splits))
    check = "held-out interactions are not remembered"
    severities = [s for s, c in plant.answers(store) if c == check]
    assert severities == ([severity] if severity else [])


@pytest.mark.parametrize("splits", [ALL[:1], (schema.TRAIN, schema.TEST)], ids=["train", "test"])
def test_what_ease_was_fitted_on_is_seen_in_its_weights(store, run, splits):
    inputs = Inputs(edges_of(user_item(run.tables, splits)))
    made = MODELS["ease"](inputs, Options(neighbors=200, l2=1.0), 0).outputs()
    model = plant.with_config(run.models["item_knn"], model="ease")
    plant.with_matrix(model, "item_item.npz", matrix_of(made))
    check = "held-out interactions are not remembered"
    leaky = (leaks.LEAK, check) in plant.answers(store)
    assert leaky == (schema.TEST in splits)


def test_items_known_by_id_alone_that_training_never_shows(store, run):
    plant.fitted(run.models["mf"], user_item(run.tables, (schema.TRAIN, schema.TEST)))
    (finding,) = found(store, leaks.LEAK, "items unknown to training are ranked by chance")
    assert finding.count > 20


# selection


def means(run, split, name):
    from pipeline.evaluate.metrics import Metric
    from pipeline.evaluate.protocol import Rules, subject
    from pipeline.leaks.selection import repeat
    from pipeline.scoring import open_scorer

    scorer = open_scorer(run.models["model"], run.train)
    return repeat(scorer, subject(run.tables, split, Rules()), Metric.parse(name)).mean


def test_a_model_chosen_on_the_test_split(store, run):
    """The metric is one in which the splits differ; where they do not, nobody could tell."""
    names = ["recall@20", "ndcg@20", "recall@5", "mrr@5", "hit@1"]
    values = {n: (means(run, "validation", n), means(run, "test", n)) for n in names}
    name = max(names, key=lambda n: abs(values[n][1] / values[n][0] - 1))
    plant.with_facts(run.models["model"], select_metric=name, best_validation=values[name][1])
    (finding,) = found(store, leaks.LEAK, "recorded validation is repeated on validation")
    assert "is that of the test split" in finding.what


def test_a_recorded_value_that_nothing_repeats(store, run):
    plant.with_facts(run.models["model"], best_validation=0.9)
    (finding,) = found(store, leaks.SUSPICIOUS, "recorded validation is repeated on validation")
    assert "0.9000 cannot be repeated" in finding.what


def test_a_kept_epoch_that_validation_does_not_prefer(store, run):
    curve = [{"epoch": 1, "recall@20": 0.3}, {"epoch": 2, "recall@20": 0.1}]
    changed = rewritten(
        run.models["model"], lambda into: files.write_lines(into / "curve.jsonl", curve)
    )
    plant.with_facts(changed, best_epoch=2)
    (finding,) = found(store, leaks.SUSPICIOUS, "the kept epoch is the best on validation")
    assert "epoch 2 was kept" in finding.what


def test_training_that_measured_the_test_split(store, run):
    model = run.models["model"]
    curve = [{**e, "test_recall@20": 0.1} for e in files.read_lines(model.file("curve.jsonl"))]
    rewritten(model, lambda into: files.write_lines(into / "curve.jsonl", curve))
    (finding,) = found(store, leaks.SUSPICIOUS, "the kept epoch is the best on validation")
    assert "test_recall@20" in finding.what


# the second stage


def test_a_second_stage_fitted_on_the_test_split(store, run):
    names = ["recall@20", "ndcg@20", "recall@5", "mrr@5", "hit@1"]
    values = {n: (means(run, "validation", n), means(run, "test", n)) for n in names}
    name = max(names, key=lambda n: abs(values[n][1] / values[n][0] - 1))
    plant.with_facts(run.by_kind["ranker"], tried={"vectors alone": {name: values[name][1]}})
    (finding,) = found(store, leaks.LEAK, "the second stage was fitted on validation")
    assert "on validation they have" in finding.what


def test_a_second_stage_fitted_nobody_knows_where(store, run):
    plant.with_facts(run.by_kind["ranker"], tried={"vectors alone": {"recall@20": 0.9}})
    assert found(store, leaks.SUSPICIOUS, "the second stage was fitted on validation")


@pytest.mark.parametrize("kind", ["ranker", "bundle"])
def test_a_second_stage_that_looks_at_all_splits(store, run, kind):
    leaky = symmetric(cooccurrence(run.everything, 10, 2))
    plant.with_matrix(run.by_kind[kind], "relation_cooccurrence.npz", leaky)
    (finding,) = found(store, leaks.LEAK, "the second stage looks at the run's graphs")
    assert finding.count > 100


# features


def test_texts_that_hold_the_reviewers(store, run):
    log = run.log
    reviewers = {}
    for at in np.flatnonzero(log.held_out)[:60]:
        reviewers[log.items[at]] = run.user_keys[log.users[at]]

    def review(columns):
        for item, user in reviewers.items():
            columns["description"][item] = f"Loved it, says {user}: five stars."
        return columns

    plant.with_table(run.tables, "items.parquet", review)
    (finding,) = found(store, leaks.LEAK, "items' texts name no user")
    assert finding.count == len(reviewers)


def test_words_that_happen_to_be_keys_of_users(store, run):
    """A model number in a title may be somebody's key; it names nobody."""

    def numbered(columns):
        for item in range(0, len(columns["title"]), 3):
            key = run.user_keys[np.setdiff1d(range(400), run.everything[:, item].indices)[0]]
            columns["title"][item] = f"Lamp {key}"
        return columns

    plant.with_table(run.tables, "items.parquet", numbered)
    assert "items' texts name no user" not in [c for _, c in plant.answers(store)]


def test_fields_of_items_read_from_reviews(store, run):
    raw = dict(run.tables.manifest["raw"])
    settings = {"format": "table", "columns": {"description": "reviewText", "user": "reviewerID"}}
    plant.manifested(run.tables, raw={**raw, "settings": settings})
    (finding,) = found(store, leaks.SUSPICIOUS, "items' fields hold no reviews")
    assert finding.examples == ("description from reviewText",)


@pytest.mark.parametrize(("value", "leaky"), [("train", False), ("all items", True)])
def test_a_transform_that_says_what_it_was_fitted_on(store, run, value, leaky):
    plant.with_facts(run.by_kind["embeddings"], whitening={"fitted_on": value})
    answers = plant.answers(store)
    assert ((leaks.LEAK, "transforms say they saw training alone") in answers) == leaky


def whitened(raw, rows):
    """Return unit vectors whose mean and covariance were taken of some rows."""
    centred = raw - raw[rows].mean(axis=0)
    _, sizes, turned = np.linalg.svd(centred[rows], full_matrices=False)
    white = centred @ turned.T / sizes
    return (white / np.linalg.norm(white, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("on", ["train", "all"])
def test_vectors_whitened_with_held_out_items(store, run, on, seed):
    trained = counts(run, ALL[:1]) > 0
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(len(trained), 64)) @ rng.normal(size=(64, 48)) + 5
    unit = whitened(raw, trained if on == "train" else np.full(len(trained), True))
    present = np.ones(len(trained), dtype=bool)
    spoiled = plant.with_arrays(run.by_kind["embeddings"], text=unit, text_present=present)
    answer = leaks.content.centring(run, spoiled, "text")
    assert [finding.severity for finding in answer.findings] == [leaks.LEAK] * (on == "all")


# splits


def appended(run, columns, rows, **changes):
    """Return the columns with copies of some rows that differ in some columns."""
    return {
        name: np.concatenate([column, np.broadcast_to(changes.get(name, column[rows]), len(rows))])
        for name, column in columns.items()
    }


def test_a_pair_in_two_splits(store, run):
    rows = np.flatnonzero(run.log.of("test"))[:5]
    plant.with_log(run.tables, lambda c: appended(run, c, rows, split=schema.TRAIN))
    (finding,) = found(store, leaks.LEAK, "a user-item pair is in one split")
    assert finding.count == 5


def test_a_pair_twice_in_one_split(store, run):
    rows = np.flatnonzero(run.log.of("train"))[:5]
    plant.with_log(run.tables, lambda c: appended(run, c, rows))
    assert found(store, leaks.SUSPICIOUS, "a user-item pair is in one split")[0].count == 5


def twins_of(run):
    """Return a held-out interaction's item and another of the same user's training, often."""
    log = run.log
    for at in np.flatnonzero(log.held_out):
        mine = log.items[(log.users == log.users[at]) & ~log.held_out]
        if len(mine):
            yield int(log.items[at]), int(mine[0])


@pytest.mark.parametrize("pictures", ["same", "other"])
def test_an_item_under_two_keys(store, run, pictures):
    pairs = [*twins_of(run)][:40]

    def copied(columns):
        for held, trained in pairs:
            for field in ("title", "description", "image"):
                columns[field][held] = columns[field][trained]
        return columns

    def looks(array):
        for held, trained in pairs:
            array[held] = array[trained]
        return array

    plant.with_table(run.tables, "items.parquet", copied)
    embeddings = run.by_kind["embeddings"]
    if pictures == "same":
        embeddings = replaced(embeddings, "image.npy", looks)
        replaced(embeddings, "image_present.npy", looks)
    severity = leaks.LEAK if pictures == "same" else leaks.NOTE
    finding = found(store, severity, "an item has one key")[-1]
    assert finding.count >= 10


def copies_of_users(run, keep):
    """Return a change after which user 2n+1 has the history of user 2n, with its own splits."""
    rng = np.random.default_rng(0)

    def change(columns):
        parts = []
        for user in range(0, 40, 2):
            rows = np.flatnonzero(columns["user"] == user)
            part = {name: column[rows].copy() for name, column in columns.items()}
            part["user"][:] = user + 1
            part["split"] = rng.permutation(part["split"])
            part = {name: column[: keep(len(rows))] for name, column in part.items()}
            parts.append(part)
        others = ~np.isin(columns["user"], np.arange(1, 40, 2))
        return {
            name: np.concatenate([column[others], *(part[name] for part in parts)])
            for name, column in columns.items()
        }

    return change


@pytest.mark.parametrize(
    ("keep", "severity"),
    [(lambda n: n, leaks.LEAK), (lambda n: max(1, n - n // 12), leaks.SUSPICIOUS)],
    ids=["same", "almost"],
)
def test_a_user_under_two_keys(store, run, keep, severity):
    plant.with_log(run.tables, copies_of_users(run, keep))
    finding = found(store, severity, "a user has one key")[0]
    assert finding.count >= 3


def test_a_handful_of_like_users_is_noted(store, run):
    change = copies_of_users(run, lambda n: n)

    def two(columns):
        """Only the first pair is alike, and holds out one interaction."""
        changed = change(columns)
        kept = changed["user"] < 2
        kept |= changed["user"] >= 40
        held = np.flatnonzero(kept & (changed["user"] < 2) & (changed["split"] != schema.TRAIN))
        changed["split"][held[1:]] = schema.TRAIN
        return {name: column[kept] for name, column in changed.items()}

    plant.with_log(run.tables, two)
    assert found(store, leaks.NOTE, "a user has one key")[0].count <= 2


def test_training_after_the_cut_in_time(store, run):
    def late(columns):
        rows = np.flatnonzero(columns["split"] == schema.TRAIN)[:7]
        columns["timestamp"][rows] = columns["timestamp"].max() + 1
        return columns

    plant.with_log(run.tables, late)
    assert found(store, leaks.LEAK, "held-out interactions are the later ones")[0].count > 100


@pytest.mark.parametrize("rule", ["leave-last-out", "random"])
def test_a_split_that_knows_the_future(store, run, rule):
    """Shuffled times break what leave-last-out promises; a random split promises nothing."""
    plant.with_config(run.tables, split={"rule": rule})
    check = "held-out interactions are the later ones"
    assert (leaks.LEAK, check) not in plant.answers(store)  # times of a global cut are right

    def shuffled(columns):
        columns["timestamp"] = np.random.default_rng(0).permutation(columns["timestamp"])
        return columns

    plant.with_log(plant.find(store).tables, shuffled)
    answers = plant.answers(store)
    assert ((leaks.LEAK, check) in answers) == (rule == "leave-last-out")
    assert (leaks.NOTE, check) in answers


def test_no_times_no_verdict(store, run):
    plant.with_log(run.tables, lambda c: {**c, "timestamp": np.zeros_like(c["timestamp"])})
    (answer,) = [a for a in leaks.examine(plant.find(store)) if "the later ones" in a.check]
    assert not answer.made


def test_a_cold_item_in_training(store, run):
    item = run.log.items[np.flatnonzero(run.log.held_out)[0]]

    def cold(columns):
        rows = np.flatnonzero(columns["item"] == item)
        columns["split"][rows[: len(rows) // 2]] = schema.COLD
        return columns

    plant.with_log(run.tables, cold)
    assert found(store, leaks.LEAK, "cold items are in no other split")


# the bundle


def test_popular_items_by_all_splits(store, run):
    order = np.argsort(-counts(run, ALL), kind="stable")
    replaced(run.by_kind["bundle"], "popular.npy", lambda _: order)
    (finding,) = found(store, leaks.LEAK, "popularity is that of training")
    assert "all splits" in finding.what


def test_popular_items_in_any_order(store, run):
    replaced(run.by_kind["bundle"], "popular.npy", lambda order: order[::-1])
    assert found(store, leaks.SUSPICIOUS, "popularity is that of training")


def test_hot_items_that_only_held_out_interactions_show(store, run):
    replaced(run.by_kind["bundle"], "hot.npy", lambda _: counts(run, ALL) > 0)
    assert found(store, leaks.LEAK, "hot items are in training")[0].count > 0


def test_seen_lists_of_somebody_else(store, run):
    replaced(run.by_kind["bundle"], "seen.npz", lambda m: sp.csr_matrix(m[::-1]))
    assert found(store, leaks.SUSPICIOUS, "seen lists are the users' own")[0].count > 100


def test_a_bundle_of_its_own_graphs_and_vectors(store, run):
    bundle, leaky = run.by_kind["bundle"], cooccurrence(run.everything, 10, 2)
    bundle = plant.with_matrix(bundle, "cooccurrence.npz", leaky)
    replaced(bundle, "user_vectors.npy", lambda vectors: 2 * vectors)
    assert found(store, leaks.LEAK, "co-occurrence counts training alone")
    assert found(store, leaks.SUSPICIOUS, "what is served was measured")


# the report


def test_a_report_of_better_numbers(store, run):
    def better(columns):
        columns["value"] = [min(1.0, value + 0.1) for value in columns["value"]]
        return columns

    plant.with_table(run.by_kind["report"], "per_user.parquet", better)
    findings = found(store, leaks.SUSPICIOUS, "reported test values are repeated")
    assert "is not what the vectors give" in findings[0].what


@pytest.mark.parametrize(("few", "severity"), [(20, leaks.LEAK), (190, leaks.SUSPICIOUS)])
def test_a_report_that_ranked_few_candidates(store, run, few, severity):
    def sampled(numbers):
        return [{**n, "card": {**n["card"], "n_candidates": few}} for n in numbers]

    replaced(run.by_kind["report"], "metrics.json", sampled)
    findings = found(store, severity, "cards say how numbers were made")
    assert f"{few} candidates were ranked, there are 200" in findings[0].what


def test_a_report_on_another_split(store, run):
    """The model was trained on other tables, in whose training are these held-out interactions."""
    tables = run.tables
    shutil.copytree(tables.path, tables.path.parent / "0ther")
    other = Store(store.root).find("tables", tables.fingerprint)
    changed = plant.manifested(
        type(other)(tables.path.parent / "0ther", other.manifest), fingerprint="0ther"
    )
    plant.with_log(changed, lambda c: {**c, "split": np.zeros_like(c["split"])})
    graphs = run.by_kind["graphs"]
    plant.manifested(graphs, inputs={**graphs.manifest["inputs"], "tables": "0ther"})
    (finding,) = found(store, leaks.LEAK, "everything is of one split")
    assert finding.count == int(run.log.held_out.sum())


# which run


def test_a_run_is_found_from_any_of_its_artifacts(honest):
    everything = plant.find(honest)
    for kind in ("bundle", "report", "model"):
        name = everything.models["model"].fingerprint if kind == "model" else None
        found = leaks.find_run(honest, f"{kind}/{name}" if name else kind)
        assert {*found.by_kind} == {"embeddings", "graphs", "ranker", "report", "bundle"}
        assert {*found.models} == {"model", *plant.CONFIG["baselines"]}
        assert found.models["model"].fingerprint == everything.models["model"].fingerprint
    assert leaks.find_run(honest, everything.tables.fingerprint[:9]).models == {}


def test_of_two_runs_that_share_a_model_the_one_of_the_bundle_is_examined(store, run):
    """The newer report is of another second stage."""
    report = run.by_kind["report"]
    newer = report.path.parent / "0ther"
    shutil.copytree(report.path, newer)
    plant.manifested(
        type(report)(newer, report.manifest),
        fingerprint="0ther",
        created_at="2999-01-01T00:00:00+00:00",
        inputs={**report.manifest["inputs"], "ranker": "07e4"},
    )
    assert store.all("report")[-1].fingerprint == "0ther"
    of_bundle = leaks.find_run(store, "bundle")
    assert of_bundle.by_kind["report"].fingerprint == report.fingerprint
    assert leaks.find_run(store, "report/0ther").by_kind["report"].fingerprint == "0ther"


def test_what_is_gone_is_said_and_not_examined(store, run):
    shutil.rmtree(run.by_kind["graphs"].path)
    left = plant.find(store)
    assert left.gone == (f"graphs/{run.by_kind['graphs'].fingerprint}",)
    assert any("holds none" in answer.looked_at for answer in leaks.examine(left))
