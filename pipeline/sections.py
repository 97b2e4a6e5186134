"""Sections of settings: frozen, no unknown key, and errors that name the closest known one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pipeline.errors import ConfigError, suggest


class Section(BaseModel):
    """A part of the configuration, or of the service's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _word_off(value: object) -> object:
    return "off" if value is False else value


WORD_OFF = BeforeValidator(_word_off)
"""For settings that may be ``off``, which YAML reads as a truth value."""

AnySection = TypeVar("AnySection", bound=Section)


def read_yaml(path: Path, known: Sequence[str]) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; ``known`` are the keys it may have.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path}; see configs/ for examples") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold a mapping with the keys {list(known)}")
    return loaded


def validated(section: type[AnySection], values: Mapping[str, Any], source: str) -> AnySection:
    """Return a section of plain values; ``source`` names them in errors.

    Raises:
        ConfigError: an unknown key, with the closest known one, or a bad value.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(_explain(e, section) for e in error.errors())
        raise ConfigError(f"{source}: {reasons}") from None


def _explain(error: Any, root: type[Section]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg']} (got {error.get('input')!r})"
    *parents, leaf = error["loc"]
    known = _known_keys(parents, root)
    return f"unknown key {where!r}{suggest(str(leaf), known)}; known here: {known}"


def _known_keys(parents: Sequence[Any], root: type[Section]) -> list[str]:
    section: Any = root
    for parent in parents:
        field = getattr(section, "model_fields", {}).get(parent)
        section = _section_of(field.annotation) if field else section
    return [*getattr(section, "model_fields", {})]


def _section_of(annotation: Any) -> Any:  # noqa: ANN401 - a typing construct
    options = (annotation, *getattr(annotation, "__args__", ()))
    return next((o for o in options if isinstance(o, type) and issubclass(o, Section)), None)
