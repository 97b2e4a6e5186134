"""The verb that writes a run's page: one HTML file with plots, pictures and verdicts."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.artifacts import Artifact, Store
from pipeline.cli.ask import open_recommender
from pipeline.cli.options import DEFAULT_STORE, StoreOption
from pipeline.cli.output import remark, say
from pipeline.cli.report import typical_users
from pipeline.errors import PlotpointeError
from pipeline.gallery import Pictures
from pipeline.runs.listing import LAST

if TYPE_CHECKING:
    from pipeline.runs.report import Sample, Shown

_USERS, _HAS, _GETS = 3, 6, 10
_THUMBNAIL = (220, 275)
_QUALITY = 72


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("report")(report)


def report(
    run: Annotated[str, typer.Argument(help="A run's id, last, or report/FINGERPRINT.")] = LAST,
    out: Annotated[Path | None, typer.Option(help="File to write; report-RUN.html.")] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write a run's page: quality, verdicts, curves, costs and recommendations, in one file."""
    from pipeline.runs.report import report_page
    from pipeline.runs.subject import subject_of

    place = Store(store)
    subject = subject_of(place, run)
    path = out or Path(f"report-{subject.run['run_id'].replace('/', '-')}.html")
    path.write_text(report_page(subject, _samples(place, subject.made_by("index"))))
    say(str(path))


def _samples(store: Store, bundle: Artifact | None) -> "Sequence[Sample]":
    """Return what a few users have and get; nothing where there is no bundle that can be opened."""
    if bundle is None:
        return []
    try:
        return _asked(store, bundle)
    except PlotpointeError as error:
        remark(f"the page shows no recommendations: {error}")
        return []


def _asked(store: Store, bundle: Artifact) -> "list[Sample]":
    from pipeline.runs.report import Sample
    from serving.messages import RecommendRequest

    recommender, pictures = open_recommender(store, bundle.fingerprint), Pictures.of(store, bundle)
    samples = []
    for user in typical_users(recommender, _USERS):
        key = str(recommender.bundle.users.keys[user])
        rows = recommender.bundle.seen_by(user)[:_HAS]
        answer = recommender.recommend(RecommendRequest(user=key, k=_GETS))
        ids = recommender.bundle.catalogue.ids.rows([item.id for item in answer.items])
        has = [_shown(pictures, int(row), "") for row in rows]
        gets = [_shown(pictures, int(r), _why(i)) for r, i in zip(ids, answer.items, strict=True)]
        samples.append(Sample(f"User {key}", has, gets))
    return samples


def _why(item: Any) -> str:  # noqa: ANN401 - serving's messages, imported late
    return str(item.reasons[0].text) if item.reasons else ""


def _shown(pictures: Pictures, row: int, why: str) -> "Shown":
    from pipeline.runs.report import Shown

    return Shown(str(pictures.titles[row]), why, thumbnail(pictures.file(row)))


def thumbnail(path: Path | None) -> str | None:
    """Return a small copy of a picture as a data URI; None where there is none to be read."""
    if path is None:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail(_THUMBNAIL)
            kept = io.BytesIO()
            small.save(kept, "WEBP", quality=_QUALITY)
    except (OSError, ValueError):
        return None
    return f"data:image/webp;base64,{base64.b64encode(kept.getvalue()).decode()}"
