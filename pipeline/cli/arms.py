"""The verb that says which bundles answer beside the promoted one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import print_json, remark
from pipeline.errors import ConfigError

ChallengerOption = Annotated[
    str | None, typer.Option(help="Fingerprint of a bundle that some users meet.")
]
WeightOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of users who meet it; 0.1 at first.")
]
ShadowOption = Annotated[
    str | None, typer.Option(help="Fingerprint of a bundle asked too, whose lists nobody sees.")
]
ShareOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of requests asked of it too.")
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("arms")(arms)


def arms(
    challenger: ChallengerOption = None,
    weight: WeightOption = None,
    shadow: ShadowOption = None,
    shadow_share: ShareOption = None,
    stop: Annotated[bool, typer.Option(help="Let the promoted bundle alone answer.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="The service's state; .service in the store if left out.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Show or change what stands beside the promoted bundle; every worker follows in seconds.

    What is not named stays as it is.
    """
    from serving.deployment.plan import Plan, read_plan, write_plan
    from serving.deployment.start import PLAN

    where = Store(store)
    path = (state or where.root / ".service") / PLAN
    named = {
        role: where.open("bundle", wanted).fingerprint
        for role, wanted in (("challenger", challenger), ("shadow", shadow))
        if wanted is not None
    }
    shares = {"weight": weight, "shadow_share": shadow_share}
    changes: dict[str, Any] = named | {n: share for n, share in shares.items() if share is not None}
    if stop and changes:
        raise ConfigError("--stop takes both arms away; name it alone")
    plan = read_plan(path)
    if stop:
        plan = Plan()
    elif changes:
        started = {"stopped": None} if "challenger" in named else {}
        plan = Plan.model_validate({**plan.model_dump(), **changes, **started})
    if stop or changes:
        write_plan(path, plan)
    if as_json:
        print_json(plan.model_dump())
        return
    remark(_told("challenger", plan.challenger, plan.weight, "of users"))
    remark(_told("shadow", plan.shadow, plan.shadow_share, "of requests"))
    if plan.stopped:
        remark(f"the last challenger was stopped: {plan.stopped}")


def _told(role: str, fingerprint: str | None, share: float, whose: str) -> str:
    return f"{role}: {fingerprint}, {share:.0%} {whose}" if fingerprint else f"no {role}"
