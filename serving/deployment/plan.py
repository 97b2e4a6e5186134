"""Which challenger and shadow there should be: one file, which every worker follows."""

import os
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.artifacts import flush
from pipeline.errors import ArtifactError
from pipeline.sections import Section


class Plan(Section):
    """What stands beside the promoted bundle; nothing where there is no file."""

    challenger: str | None = None
    """Fingerprint of the bundle that some users meet."""
    weight: float = Field(0.1, ge=0, le=1)
    """Share of users who meet the challenger."""
    shadow: str | None = None
    """Fingerprint of the bundle that is asked too, and whose lists nobody sees."""
    shadow_share: float = Field(0.1, ge=0, le=1)
    """Share of requests that are asked of the shadow too."""
    stopped: str | None = None
    """Why the last challenger was stopped."""


def read_plan(path: Path) -> Plan:
    """Return the plan of a file; an empty one where there is none.

    Raises:
        ArtifactError: the file holds no plan.
    """
    try:
        return Plan.model_validate_json(path.read_text())
    except FileNotFoundError:
        return Plan()
    except (ValidationError, ValueError) as error:
        raise ArtifactError(f"{path} holds no plan of arms ({error}); delete it") from None


def write_plan(path: Path, plan: Plan) -> None:
    """Replace the plan in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(plan.model_dump_json(indent=1) + "\n")
    flush(draft)
    draft.replace(path)
    flush(path.parent)
