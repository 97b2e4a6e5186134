"""Do the report's numbers mean what their cards say, on the split the model did not train on?"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact, Store
from pipeline.evaluate.metrics import Metric
from pipeline.evaluate.protocol import COLD_SUBJECTS, HELD_OUT, MASKS, Rules, subject
from pipeline.ids import UNKNOWN, IdMap
from pipeline.leaks.finding import (
    LEAK,
    SUSPICIOUS,
    Examined,
    Finding,
    Severity,
    examined,
    first,
    not_examined,
    said,
)
from pipeline.leaks.lineage import MODEL, Run, name_of
from pipeline.leaks.log import among, read_log
from pipeline.leaks.selection import afforded, values_of
from pipeline.ranking import RankedScorer
from pipeline.schema import ITEM, KEY, USER
from pipeline.scoring import Scorer, open_scorer

_AGAIN = "Evaluate again: plotpointe evaluate CONFIG --force"
_CHANGED = 0.01
"""Share of users whose value other hardware may change."""
_REPEATED = "recall", "ndcg"
"""Metrics computed again, for the longest lists."""
_RANKED = 2_000
"""Users whose lists the second stage makes again: it takes far longer than vectors."""
Number = Mapping[str, Any]


def checks(run: Run) -> Iterator[Examined]:
    """Yield what the report was asked, and whether all artifacts are of one split."""
    yield one_split(run)
    report = run.by_kind.get("report")
    if report is None:
        yield not_examined("the report keeps its protocol", "report", "the store holds none")
        return
    numbers: list[Number] = report.json("metrics.json")
    yield cards(run, report, numbers)
    ranker = run.by_kind.get("ranker")
    entrants = {**run.models, **({"second stage": ranker} if ranker else {})}
    for label, entrant in entrants.items():
        yield repeated(run, report, (label, entrant), numbers)


def one_split(run: Run) -> Examined:
    """Return whether what was trained and what it is measured on are divided alike."""
    found, named = [], 0
    for artifact in (*run.by_kind.values(), *run.models.values()):
        theirs = artifact.manifest["inputs"].get("tables")
        named += theirs is not None
        if theirs in (None, run.tables.fingerprint):
            continue
        text = f"{name_of(artifact)} was made from tables {theirs}, not {run.tables.fingerprint}"
        other = _other_tables(run, str(theirs))
        count, names = (0, ()) if other is None else _trained_elsewhere(run, other)
        severity = LEAK if count else SUSPICIOUS
        if count:
            text += "; held-out interactions are training ones there"
        held = int(run.log.held_out.sum())
        cure = "Make the whole run from one set of tables: plotpointe run CONFIG"
        found.append(Finding(severity, text, count, held, cure, names))
    looked_at = f"the tables that {named} artifacts name"
    return examined("everything is of one split", name_of(run.tables), looked_at, found)


def _other_tables(run: Run, fingerprint: str) -> Artifact | None:
    return Store(run.tables.path.parent.parent).find("tables", fingerprint)


def _trained_elsewhere(run: Run, other: Artifact) -> tuple[int, tuple[str, ...]]:
    """Return how many held-out interactions other tables train on, and the first of them."""
    log, n_items = read_log(other), run.log.shape[1]
    keys = {n: other.table(f"{n}s.parquet", [KEY])[KEY].to_pylist() for n in (USER, ITEM)}
    users = IdMap(run.user_keys).rows(keys[USER])[log.users]
    items = IdMap(run.item_keys).rows(keys[ITEM])[log.items]
    known = ~log.held_out & (users != UNKNOWN) & (items != UNKNOWN)
    trained = users[known].astype(np.int64) * n_items + items[known]
    flags = run.log.held_out & among(run.log.pairs, trained)
    rows = first(flags)
    names = run.user_keys[run.log.users[rows]], run.item_keys[run.log.items[rows]]
    return int(flags.sum()), said("user {}, item {}", *names)


def cards(run: Run, report: Artifact, numbers: list[Number]) -> Examined:
    """Return whether each card says what its split, masks, candidates and users are."""
    expected: dict[tuple[str, ...], Number] = {}
    wrong: Counter[tuple[Severity, str]] = Counter()
    for number in numbers:
        card = number.get("card", {})
        asked = str(card.get("split")), *_rules(card)
        if asked[0] not in HELD_OUT or asked[1] not in MASKS:
            wrong[SUSPICIOUS, f"the card names no split and mask that there are: {asked[:2]}"] += 1
            continue
        if asked not in expected:
            of = subject(run.tables, asked[0], Rules(*asked[1:]))
            held_out = len(np.unique(of.relevant.indices))
            expected[asked] = {**of.card(run.tables), "held-out items": held_out}
        wrong.update(_problems(card, expected[asked]))
    found = [
        Finding(severity, problem, count, len(numbers), _AGAIN)
        for (severity, problem), count in wrong.items()
    ]
    looked_at = f"{len(numbers):,} numbers' cards"
    return examined("cards say how numbers were made", name_of(report), looked_at, found)


def _rules(card: Number) -> tuple[str, str]:
    """Return the mask and candidates that were asked for; a card also names cold ones."""
    if card.get("split") in COLD_SUBJECTS:
        return "train", "train" if "train" in str(card.get("candidates")) else "all"
    return str(card.get("mask")).removesuffix("+cold"), str(card.get("candidates"))


def _problems(card: Number, expected: Number) -> Iterator[tuple[Severity, str]]:
    where = f"({expected['split']})"
    for name, what in (("tables", "tables"), ("mask", "mask"), ("n_users", "users")):
        stated = card.get(name)
        if stated is not None and stated != expected[name]:
            yield SUSPICIOUS, f"the card states {what} {stated}, there are {expected[name]} {where}"
    stated, there_are = card.get("n_candidates"), expected["n_candidates"]
    if stated is not None and stated != there_are:
        text = f"{stated} candidates were ranked, there are {there_are} {where}"
        few = stated <= expected["held-out items"]
        yield (LEAK, f"{text}: no more than held-out items") if few else (SUSPICIOUS, text)


def repeated(
    run: Run, report: Artifact, model: tuple[str, Artifact], numbers: list[Number]
) -> Examined:
    """Return whether a model's vectors give its users' values on the test split again."""
    label, artifact = model
    check, where = "reported test values are repeated", f"{name_of(report)} ({label})"
    mine = [n for n in numbers if _is_of(n, artifact)]
    if not mine:
        return not_examined(check, where, "it reports no test value of this model")
    card = mine[0]["card"]
    of = subject(run.tables, "test", Rules(*_rules(card), int(card["seed"])))
    metrics = sorted((Metric.parse(n["metric"]) for n in mine), key=lambda m: m.k)[
        -len(_REPEATED) :
    ]
    kept = _per_user(report, str(mine[0]["model"]), [str(m) for m in metrics])
    users = afforded(of.users, of.train)
    if artifact.kind == "ranker":
        users = users[:_RANKED]
    again = values_of(_scorer(run, artifact), of, users, metrics)
    found = [f for m in metrics for f in _compared(str(m), (users, again[str(m)]), kept[str(m)])]
    named = " and ".join(str(metric) for metric in metrics)
    return examined(check, where, f"{named} of {len(users):,} users", found)


def _scorer(run: Run, artifact: Artifact) -> Scorer:
    """Return what ranks with a model, or with the main model and a second stage."""
    if artifact.kind != "ranker":
        return open_scorer(artifact, run.train)
    return RankedScorer.opened(artifact, run.models[MODEL], run.train)


def _is_of(number: Number, model: Artifact) -> bool:
    card = number.get("card", {})
    return bool(
        card.get("fingerprint") == model.fingerprint
        and number.get("slice", "all") == "all"
        and card.get("split") == "test"
        and _rules(card)[0] in MASKS
        and str(number["metric"]).split("@")[0] in _REPEATED
    )


def _per_user(report: Artifact, model: str, metrics: list[str]) -> dict[str, tuple[Rows, Floats]]:
    """Return the users and values that a report holds of a model's test metrics.

    The file holds every value of every user, so only parts that may hold the wanted are read.
    """
    wanted = {"model": model, "split": "test", "slice": "all"}
    columns = [*wanted, USER, "metric", "value"]
    with pq.ParquetFile(report.file("per_user.parquet")) as file:
        groups = [g for g in range(file.num_row_groups) if _may_hold(file.metadata, g, wanted)]
        table = file.read_row_groups(groups, columns) if groups else file.schema_arrow.empty_table()
    for name, value in wanted.items():
        table = table.filter(pc.equal(table[name], pa.scalar(value)))
    found = {}
    for metric in metrics:
        part = table.filter(pc.equal(table["metric"], metric))
        found[metric] = part[USER].to_numpy(), part["value"].to_numpy()
    return found


def _may_hold(metadata: pq.FileMetaData, group: int, wanted: Mapping[str, str]) -> bool:
    part = metadata.row_group(group)
    columns = (part.column(at) for at in range(part.num_columns))
    ranges = {c.path_in_schema: c.statistics for c in columns if c.path_in_schema in wanted}
    known = {name: r for name, r in ranges.items() if r is not None and r.has_min_max}
    return all(r.min <= wanted[name] <= r.max for name, r in known.items())


def _compared(
    metric: str, again: tuple[Rows, Floats], kept: tuple[Rows, Floats]
) -> Iterator[Finding]:
    """Yield where the report's values of users differ from those computed again."""
    order = np.argsort(kept[0], kind="stable")
    users, values = kept[0][order], kept[1][order]
    at = np.searchsorted(users, again[0]).clip(max=max(0, len(users) - 1))
    if not len(users) or (users[at] != again[0]).any():
        text = f"the report holds no {metric} of some users who can be measured"
        yield Finding(SUSPICIOUS, text, len(again[0]), len(again[0]), _AGAIN)
        return
    wrong = np.abs(values[at] - again[1]) > 1e-4
    if wrong.mean() > _CHANGED:
        better = float(values[at].mean()), float(again[1].mean())
        text = (
            f"the report's {metric} {better[0]:.4f} is not what the vectors give, {better[1]:.4f}"
        )
        yield Finding(SUSPICIOUS, text, int(wrong.sum()), len(wrong), _AGAIN)
