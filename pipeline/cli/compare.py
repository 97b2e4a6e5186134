"""The verb that compares models by their users: differences, verdicts, and a gate for CI."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import print_json, print_table, remark, say
from pipeline.errors import GateFailedError

if TYPE_CHECKING:
    from pipeline.compare.contenders import Contender
    from pipeline.measure.stats.gate import Gate, Passage
    from pipeline.measure.stats.verdict import Finding

WhichArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="A B [C …]",
        help="[NAME=]REF[:MODEL]: REF is report/FINGERPRINT, a run's id, 'last', or a "
        "per_user.parquet; MODEL one of the report's. The first is the baseline; several of "
        "one NAME are its seeds.",
    ),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(help="Such as ndcg@20; '*' for all. Recall and NDCG if left out."),
]
GateOption = Annotated[
    list[str] | None,
    typer.Option(help="'ndcg@20 >= -0.5%': the exit code is not 0 where it fails."),
]

_TOLD = 12
"""Verdicts that are all printed; of more, those that show a difference."""

_ONE_SEED = (
    "one seed each: this says how these models differ, not how training varies; for that name "
    "several seeds of each (--seeds)"
)


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("compare")(compare)


def compare(
    which: WhichArgument,
    metric: MetricOption = None,
    part: Annotated[
        list[str] | None, typer.Option("--slice", help="Such as tail; '*' for all slices.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Test if left out.")] = None,
    gate: GateOption = None,
    seeds: Annotated[
        bool, typer.Option(help="Take reports that differ in their seed alone as one.")
    ] = False,
    every_pair: Annotated[
        bool, typer.Option("--all-pairs", help="Each with each, not only with the first.")
    ] = False,
    least: Annotated[
        float, typer.Option(min=0, help="The change that matters, for power, in percent.")
    ] = 1.0,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap samples.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Compare even where protocols differ.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Compare models user by user: intervals, tests, effect sizes, verdicts, and a gate."""
    from pipeline.compare import cards, sources
    from pipeline.compare.contenders import Asked, contenders, sides_of
    from pipeline.measure.stats.draws import Draws
    from pipeline.measure.stats.gate import Gate, passages
    from pipeline.measure.stats.verdict import judge

    gates = [Gate.parse(each) for each in gate or []]
    asked = Asked(split, *_with_gates(metric or [], part or [], gates), every_pair)
    place = Store(store)
    named = [sources.find(place, each) for each in which]
    found = contenders(named, by_seed=seeds)
    where, sides, notes = sides_of(found, asked, place)
    notes += _of_seeds(found)
    metrics = [each.metric for each in sides]
    notes += cards.check(named, where, metrics, forced=force)
    findings = judge(sides, Draws(resamples, seed), least / 100)
    outcomes = passages(gates, findings, found[0].name)
    if as_json:
        print_json(_as_json(found, where, notes, findings, outcomes))
    else:
        _print(f"{found[0].name} is the baseline, {where} split", findings, outcomes, notes)
    failed = [each.sentence for each in outcomes if not each.passed]
    if failed:
        raise GateFailedError("; ".join(failed))


def _of_seeds(found: "Sequence[Contender]") -> list[str]:
    """Return what the numbers of seeds keep the comparison from telling."""
    single = [each.name for each in found if len(each.sources) == 1]
    if len(single) == len(found):
        return [_ONE_SEED]
    return [
        f"{name} has one seed: its training is taken to have no noise, which is right for models "
        f"without chance alone"
        for name in single
    ]


def _with_gates(
    metrics: list[str], parts: list[str], gates: "Sequence[Gate]"
) -> tuple[list[str], list[str]]:
    """Return what is compared: what is asked for, and what gates are of."""
    if gates:
        parts = [*dict.fromkeys([*(parts or ["all"]), *(gate.part for gate in gates)])]
        metrics = [*dict.fromkeys([*metrics, *(gate.metric for gate in gates)])]
    return metrics, parts


def _as_json(
    found: "Sequence[Contender]",
    split: str,
    notes: list[str],
    findings: "Sequence[Finding]",
    outcomes: "Sequence[Passage]",
) -> dict[str, Any]:
    return {
        "baseline": found[0].name,
        "contenders": {each.name: [source.label for source in each.sources] for each in found},
        "split": split,
        "notes": notes,
        "findings": [each.as_json() for each in findings],
        "gates": [
            {"gate": o.gate.text, "candidate": o.candidate, "passed": o.passed, "why": o.sentence}
            for o in outcomes
        ],
    }


def _print(
    title: str,
    findings: "Sequence[Finding]",
    outcomes: "Sequence[Passage]",
    notes: Sequence[str],
) -> None:
    header = ("candidate", "baseline", "metric", "slice", "users", "baseline's mean",
              "difference, 95 %", "p", "Holm", "BH")  # fmt: skip
    print_table(title, header, [_row(each) for each in findings])
    header = ("candidate", "metric", "slice", "d", "Cliff's delta", "better for", "worse for",
              "would be found", f"power for {findings[0].least:.1%}", "due to seeds")  # fmt: skip
    print_table("effect sizes and power", header, [_effects(each) for each in findings])
    told = [f for f in findings if len(findings) <= _TOLD or f.result != "no difference shown"]
    for each in told:
        say(f"- {each.verdict}")
    if len(told) < len(findings):
        say(f"- {len(findings) - len(told)} of {len(findings)} comparisons show no difference")
    for outcome in outcomes:
        say(f"gate {outcome.sentence}")
    for note in notes:
        remark(f"note: {note}")


def _row(finding: "Finding") -> tuple[str, ...]:
    c, sides = finding.contrast, finding.sides
    difference = f"{c.difference.value:+.4f} [{c.difference.low:+.4f}, {c.difference.high:+.4f}]"
    return (
        sides.candidate, sides.baseline, sides.metric, sides.part, f"{sides.n_users:,}",
        f"{c.baseline_value:.4f}", difference + finding.in_percent, f"{c.p:.2g}",
        f"{finding.p_holm:.2g}", f"{finding.p_bh:.2g}",
    )  # fmt: skip


def _effects(finding: "Finding") -> tuple[str, ...]:
    c, sides = finding.contrast, finding.sides
    return (
        sides.candidate, sides.metric, sides.part, f"{c.d:+.3f}", f"{c.delta:+.3f}",
        f"{c.wins:.1%}", f"{c.losses:.1%}", f"{finding.mde:.4f}",
        "-" if finding.power is None else f"{finding.power:.0%}",
        "-" if c.seed_share is None else f"{c.seed_share:.0%}",
    )  # fmt: skip
