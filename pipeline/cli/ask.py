"""The verbs that ask a bundle: recommend, similar, export-topk, serve.

They import the service's own recommender when used, so that a list is the same in both places.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from pipeline import flow
from pipeline.artifacts import Store
from pipeline.cli.options import (
    DEFAULT_STORE,
    BundleOption,
    ConfigArgument,
    JsonOption,
    KOption,
    SetOption,
    StoreOption,
)
from pipeline.cli.output import print_json, print_table, remark
from pipeline.config import load_config
from pipeline.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from serving.recommender import Recommender


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("recommend")(recommend)
    app.command("similar")(similar)
    app.command("export-topk")(export_top_k)
    app.command("serve")(serve)


def recommend(
    user: Annotated[str | None, typer.Option(help="A user's key.")] = None,
    history: Annotated[str | None, typer.Option(help="Item keys, separated by commas.")] = None,
    k: KOption = 10,
    bundle: BundleOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print recommendations for a user, a history, or both."""
    from serving.messages import RecommendRequest

    keys = [key for key in (history or "").split(",") if key]
    try:
        request = RecommendRequest(user=user, history=keys, k=k)
    except ValidationError as error:
        raise ConfigError(f"cannot ask for that: {error.errors()[0]['msg']}") from None
    answer = open_recommender(Store(store), bundle).recommend(request)
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    who = f"user {user}" if user else "a new user"
    print_items(f"for {who} ({answer.user_tier}, by {answer.strategy})", answer.items)
    if answer.unknown_items:
        remark(f"not in the catalogue: {', '.join(answer.unknown_items)}")
    if answer.shortfall_reason:
        remark(f"fewer than {k}: {answer.shortfall_reason}")


def similar(
    item: Annotated[str, typer.Option(help="An item's key.")],
    by: Annotated[str, typer.Option(help="model, bought_together, or a modality.")] = "model",
    k: KOption = 10,
    bundle: BundleOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print the items most like one item."""
    answer = open_recommender(Store(store), bundle).similar(item, k, by)
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        print_items(f"like {answer.item.title or item}, by {by}", answer.items)


def open_recommender(store: Store, fingerprint: str | None = None) -> "Recommender":
    """Return a recommender on a bundle of the store."""
    from serving.bundle import Bundle
    from serving.recommender import Recommender

    return Recommender(Bundle.open(store, fingerprint))


def print_items(title: str, items: Any) -> None:  # noqa: ANN401 - serving's messages, imported late
    """Write a ranked list as a table, each item with its first reason."""
    rows = [
        (item.rank, item.id, item.title or "", f"{item.score:.3f}", item.reasons[0].text)
        if item.reasons
        else (item.rank, item.id, item.title or "", f"{item.score:.3f}", "")
        for item in items
    ]
    print_table(title, ("rank", "item", "title", "score", "because"), rows)


def export_top_k(
    config: ConfigArgument,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    k: KOption = 50,
    split: Annotated[str, typer.Option(help="validation, test, cold or cold-among-all.")] = "test",
    model: Annotated[
        str | None, typer.Option(help="A model by its name in the report; ours if left out.")
    ] = None,
    overrides: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write every evaluated user's list: user_id, item_id, rank, score."""
    from pipeline.evaluate.export import Export, write_top_k
    from pipeline.evaluate.names import makers_of
    from pipeline.evaluate.protocol import Rules

    place = Store(store)
    resolved = flow.prepare(load_config(config, overrides or ()), place)
    steps = {step.name: step for step in flow.plan(resolved, place)}
    names = makers_of(model, resolved)
    found = [place.find(steps[s].kind, steps[s].fingerprint) for s in ("etl", *names)]
    made = [artifact for artifact in found if artifact]
    if len(made) < len(found):
        last = steps[names[-1]].stage.name
        raise ArtifactError(f"the model is not made yet: plotpointe run {config} --to {last}")
    tables, trained, *ranker = made
    rules = Rules(resolved.evaluate.mask, resolved.evaluate.candidates, resolved.seed)
    users = write_top_k(out, tables, trained, Export(split, k, rules, *ranker))
    remark(f"wrote {users:,} lists of up to {k} items to {out}")


def serve(
    settings: Annotated[Path | None, typer.Option(help="YAML of settings.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder of artifacts.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer.")] = None,
    bundle: BundleOption = None,
) -> None:
    """Answer recommendation requests over HTTP until interrupted."""
    from serving.run import serve as run_service
    from serving.settings import load_settings

    chosen = {"store": store, "host": host, "port": port, "images": images, "bundle": bundle}
    chosen |= {"keys": keys, "workers": workers}
    run_service(load_settings(settings, os.environ, chosen))
