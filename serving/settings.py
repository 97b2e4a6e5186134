"""What an operator may choose: a YAML file, over which PLOTPOINTE_* variables stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.sections import WORD_OFF, Section, read_yaml, validated
from serving.deployment.guardrail import Margins

PREFIX = "PLOTPOINTE_"


def _listed(value: object) -> object:
    """Return a variable's ``a,b`` as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


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
    """Least severity that is logged; ``info`` logs every request."""
    state: Path | None = None
    """The folder of what changes while the service runs: added items, feedback, the deployment;
    null takes ``.service`` in the store. Worker processes share it."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that answer; they share the pages of the bundle."""
    reload_seconds: float = Field(1.0, ge=0.05)
    """How often a newly promoted bundle is looked for; a named ``bundle`` stays."""
    recheck_seconds: float = Field(300.0, ge=0.1)
    """How often the index is asked for its canaries' lists again."""
    keep_previous: bool = True
    """Whether the bundle before stays open, so that a rollback takes no time."""
    keys: Path | None = None
    """File of API keys (``plotpointe keys new``); null asks for none and answers this machine."""
    allow_anonymous: bool = False
    """Whether other machines are answered without a key."""
    rate: str | None = None
    """Most requests of a key, such as ``600/minute``; a key may have its own. Null limits none."""
    rate_storage: str = "memory://"
    """Where requests are counted: each worker for itself, or ``redis://HOST`` for all together."""
    cors: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Origins whose pages may ask, such as ``https://shop.example``; none may by default."""
    max_in_flight: int = Field(64, ge=1)
    """Requests that a worker answers at once."""
    max_waiting: int = Field(256, ge=0)
    """Requests that may wait for their turn; more are refused with 503."""
    queue_seconds: float = Field(0.5, gt=0)
    """Longest wait for a turn, and latest that the event loop may run, before 503."""
    body_seconds: float = Field(10.0, gt=0)
    """Longest wait for a request's body before 408."""
    timeout_seconds: float = Field(10.0, gt=0)
    """Longest time to an answer before 503."""
    drain_seconds: float = Field(0.0, ge=0)
    """How long ``/health/ready`` says no before the port closes on SIGTERM."""
    cache_entries: int = Field(1_000, ge=0)
    """Lists that each worker keeps; 0 keeps none."""
    cache_seconds: float = Field(30.0, gt=0)
    """How long a list is kept; a new bundle or new feedback ends it at once."""
    slow_seconds: float = Field(0.25, ge=0)
    """Requests that take longer are logged as slow and listed at ``/v1/admin/slow``."""
    traces: str | None = None
    """OTLP endpoint such as ``http://localhost:4318/v1/traces``; null traces nothing."""
    trace_share: float = Field(0.01, ge=0, le=1)
    """Share of requests that are traced; those with a sampled ``traceparent`` always are."""
    energy: Annotated[Literal["auto", "estimate", "machine", "off"], WORD_OFF] = "auto"
    """How the energy of answering is known, in the background: as ``runtime.energy`` of a run."""
    place: str | None = None
    """Whose electricity, as ``runtime.place`` of a run."""
    guard: Margins = Margins()
    """By how much a challenger may be worse before it is stopped."""

    @property
    def state_folder(self) -> Path:
        """Return the folder of what changes while the service runs."""
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
