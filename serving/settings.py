"""What an operator may choose: a YAML file, over which PLOTPOINTE_* variables stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.sections import Section, read_yaml, validated

PREFIX = "PLOTPOINTE_"


class Settings(Section):
    """The service's settings."""

    store: Path = Path("artifacts")
    """The folder of artifacts."""
    bundle: str | None = None
    """Fingerprint of the bundle to serve, a unique prefix is enough; null serves the promoted."""
    images: Path | None = None
    """The folder of pictures; null takes the one that the pipeline read, where it still is."""
    host: str = "127.0.0.1"
    """Address to listen on; the default answers this machine alone."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 lets the system choose."""
    state: Path | None = None
    """The folder of what changes while the service runs: added items, feedback; null takes
    ``.service`` in the store. Worker processes share it."""
    encoders: bool = True
    """Whether texts and pictures that are sent are encoded here, for which torch is loaded when the
    first comes."""
    verify: bool = True
    """Whether every file is hashed and every promise checked before the port opens."""
    browse: bool = True
    """Whether the dashboard, the list of users and a user's history are shown."""
    max_body_bytes: int = Field(2_000_000, ge=1_000)
    """Larger request bodies are refused with 413."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""

    @property
    def state_folder(self) -> Path:
        """Return where the state is kept."""
        return self.state or self.store / ".service"


def load_settings(
    path: Path | None, environment: Mapping[str, str], chosen: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings of a file (None: the defaults) with those of the environment on top.

    ``chosen`` is what the command line gave, and stands over both; None in it chooses nothing.

    Raises:
        ConfigError: no such file, an unknown key, or a bad value.
    """
    known = [*Settings.model_fields]
    values = read_yaml(path, known) if path else {}
    named = {name: environment.get(PREFIX + name.upper()) for name in known}
    over = {name: value for name, value in named.items() if value}
    given = {name: value for name, value in (chosen or {}).items() if value is not None}
    source = ", ".join([str(path or "defaults"), *(PREFIX + name.upper() for name in over)])
    return validated(Settings, {**values, **over, **given}, source)
