"""A study from its question to its findings: what the verb ``tune`` does, without the talking."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import interactions
from pipeline.artifacts import Artifact, Store
from pipeline.config import Config, TrainConfig
from pipeline.errors import ConfigError, DataError
from pipeline.flow import Step
from pipeline.hashing import fingerprint
from pipeline.relations import COOCCURRENCE
from pipeline.schema import TRAIN, VALIDATION
from pipeline.tune.defaults import default_space
from pipeline.tune.findings import HEADER, Findings, chosen_yaml
from pipeline.tune.record import opened
from pipeline.tune.search import Attempt, Budget, Question, Told, repeat, search
from pipeline.tune.space import Space, load_space
from pipeline.tune.trial import Bench

BEST = "best.yaml"
_NAME_DIGITS = 8


@dataclass(frozen=True)
class Study:
    """A search of one configuration's training section, on inputs that are complete."""

    config: Config
    """As it was loaded; what the choice is written into."""
    step: Step
    """Its training step."""
    store: Store
    space: Space

    @property
    def name(self) -> str:
        """Return the name: of the configuration, and a hash of all that determines a trial."""
        asked = {"train": self.step.fingerprint, "space": self.space.plain()}
        called = re.sub(r"[^\w.-]+", "-", self.config.name).strip(".-") or "study"
        return f"{called}-{fingerprint(asked)[:_NAME_DIGITS]}"

    def about(self, budget: Budget) -> dict[str, Any]:
        """Return what the study is asked, as JSON values."""
        return {
            "config": self.config.model_dump(mode="json"),
            "space": self.space.plain(),
            "metric": self.config.train.select_metric,
            "seed": self.config.seed,
            "budget": {f: getattr(budget, f) for f in ("trials", "minutes", "seeds")},
        }

    def run(self, budget: Budget, told: Told, attempt: Attempt | None = None) -> Findings:
        """Spend what is left of the budget and return what was found, in this run and before.

        Raises:
            DataError: there is no user to validate on.
            StageFailedError: the configuration itself cannot be trained.
            ArtifactError: another process runs the study.
        """
        check_validation(self._tables())
        bench = Bench(self.name, self.step, self.config, self.store)
        question = Question(self.config.train, self.space, self.config.seed)
        with opened(self.store, self.name, self.about(budget)) as record:
            search(question, budget, record, attempt or bench.attempt, told)
            repeat(question, budget, record, attempt or bench.attempt, told)
            findings = Findings(record)
            _replace(record.folder / BEST, chosen_yaml(findings))
        return findings

    def _tables(self) -> Artifact:
        return self.store.open("tables", self.step.needs["tables"].fingerprint)


def space_of(path: Path | None, base: TrainConfig, step: Step, store: Store) -> Space:
    """Return the space of a file, or the model's own, around the configuration's values.

    Raises:
        ConfigError: an unknown field, a bad range, or a model that has nothing to tune.
    """
    if path is not None:
        return load_space(path, base).around(base)
    graphs = step.needs["graphs"]
    made = store.find(graphs.kind, graphs.fingerprint)
    known = [*made.modalities("_knn.npz"), COOCCURRENCE] if made else [*base.relation_weights]
    return default_space(base, known).around(base)


def check_validation(tables: Artifact) -> None:
    """Refuse tables on which nothing can be chosen.

    Raises:
        DataError: no user has both a training and a validation interaction.
    """
    train, validation = (interactions.user_item(tables, (s,)) for s in (TRAIN, VALIDATION))
    if not len(interactions.evaluable(train, validation)):
        raise DataError(
            "no user has both a training and a validation interaction, so there is nothing to "
            "choose by. Check etl.split: plotpointe show tables"
        )


def check_out(out: Path | None) -> None:
    """Refuse to overwrite a file that is not a study's choice.

    Raises:
        ConfigError: such a file is there.
    """
    if out is None or not out.exists():
        return
    with suppress(UnicodeDecodeError):
        if out.read_text().startswith(HEADER):
            return
    raise ConfigError(f"{out} exists and was not written by tune; choose another --out")


def write_choice(findings: Findings, out: Path | None) -> Path:
    """Return where the chosen configuration stands: in the study's folder, or also at ``out``."""
    if out is None:
        return findings.record.folder / BEST
    _replace(out, chosen_yaml(findings))
    return out


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)
