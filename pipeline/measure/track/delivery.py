"""How far each backend was told of a run: a small file beside the record."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.measure.track.record import replace_json

FOLDER = "trackers"


@dataclass(frozen=True)
class Delivery:
    """How far a backend was told of a run."""

    backend: str
    settings: dict[str, str] = field(default_factory=dict)
    offset: int = 0
    """Bytes of ``events.jsonl`` that were handed over."""
    lines: int = 0
    complete: bool = False
    """Whether the end was handed over."""
    failures: int = 0
    last_error: str | None = None
    doing: str | None = None
    """The call that is being made; what it is when the courier has died is what killed it."""

    def save(self, run: Path) -> None:
        """Write it beside the run."""
        place_of(run, self.backend).parent.mkdir(exist_ok=True)
        replace_json(place_of(run, self.backend), asdict(self))

    @classmethod
    def load(cls, run: Path, backend: str) -> "Delivery":
        """Return what was noted last; a new one where there is nothing, or nothing readable."""
        try:
            return cls(**json.loads(place_of(run, backend).read_text()))
        except (OSError, ValueError, TypeError):
            return cls(backend)


def place_of(run: Path, backend: str) -> Path:
    """Return where the delivery to a backend is noted."""
    return run / FOLDER / f"{backend.replace(':', '.')}.json"


def deliveries(run: Path) -> list[Delivery]:
    """Return how far each backend of a run was told."""
    found = []
    for path in sorted((run / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Delivery(**json.loads(path.read_text())))
    return found
