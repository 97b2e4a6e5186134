"""API keys: random, shown once, kept as hashes in a file; several are valid at once.

A key is ``pp_ID_SECRET``. The id names it to people; the secret has 256 random bits, so that a
plain SHA-256 of it cannot be searched and no slow hash is needed.
"""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, ValidationError

from pipeline.artifacts import flush
from pipeline.errors import ConfigError
from pipeline.sections import Section

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
"""``read`` asks, ``write`` changes items and gives feedback, ``admin`` runs the service."""

_LOOK_SECONDS = 1.0
"""How soon a change of the file is noticed."""


class Key(Section):
    """A key as the file keeps it: never the key itself."""

    id: str
    """Names the key to people and in the log."""
    name: str
    """Whose it is."""
    sha256: str
    """Of the whole key."""
    scopes: tuple[Scope, ...]
    """What it may do."""
    created_at: AwareDatetime
    """When it was made."""
    expires_at: AwareDatetime | None = None
    """When it ends; null never."""
    revoked_at: AwareDatetime | None = None
    """When it was taken back; null where it was not."""
    rate: str | None = None
    """Most requests, such as ``600/minute``; null takes the service's."""

    def valid(self, now: datetime) -> bool:
        """Return whether the key opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyFile(Section):
    """Every key there is, revoked ones included."""

    keys: tuple[Key, ...] = ()
    """Oldest first."""


def read_keys(path: Path) -> KeyFile:
    """Return the keys of a file.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    try:
        return KeyFile.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"no keys at {path}. Make one: plotpointe keys new NAME --keys {path}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        # Not the error itself: it quotes what the file holds.
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigError(f"{path} holds no keys of ours: see {where or 'its JSON'}") from None


def write_keys(path: Path, file: KeyFile) -> None:
    """Replace the file in one step; nobody but its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(file.model_dump_json(indent=1) + "\n")
    flush(draft)
    draft.replace(path)
    flush(path.parent)


def make_key(
    name: str, scopes: Sequence[Scope], days: float | None = None, rate: str | None = None
) -> tuple[str, Key]:
    """Return a new key, to be shown once, and what is kept of it."""
    now = datetime.now(UTC)
    chosen = secrets.token_hex(4)
    secret = f"pp_{chosen}_{secrets.token_urlsafe(32)}"
    kept = Key(
        id=chosen,
        name=name,
        sha256=digest(secret),
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
        rate=rate,
    )
    return secret, kept


def revoked(file: KeyFile, which: str, now: datetime) -> KeyFile:
    """Return the keys with one taken back.

    Raises:
        ConfigError: no key has that id.
    """
    if which not in {key.id for key in file.keys}:
        raise ConfigError(f"no key has the id {which!r}; see: plotpointe keys list")
    update = {"revoked_at": now}
    return KeyFile(
        keys=tuple(k.model_copy(update=update) if k.id == which else k for k in file.keys)
    )


def digest(secret: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """The keys of a file, followed: what is revoked there is refused within a second.

    A file that vanishes or breaks changes nothing: the service neither opens nor closes by it.
    """

    def __init__(self, path: Path) -> None:
        """Read the keys.

        Raises:
            ConfigError: there are none.
        """
        self.path = path
        self._lock = threading.Lock()
        self._looked, self._written = time.monotonic(), self._written_at()
        self._keys = _by_digest(read_keys(path))

    def find(self, secret: str) -> Key | None:
        """Return the valid key that a secret is, None where it is none."""
        self._follow()
        key = self._keys.get(digest(secret))
        return key if key is not None and key.valid(datetime.now(UTC)) else None

    def _follow(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        with self._lock:
            self._looked, written = now, self._written_at()
            if written in (self._written, None):
                return
            try:
                self._keys = _by_digest(read_keys(self.path))
                self._written = written
            except ConfigError:
                return

    def _written_at(self) -> tuple[int, int] | None:
        try:
            told = self.path.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_ino


def _by_digest(file: KeyFile) -> dict[str, Key]:
    return {key.sha256: key for key in file.keys}
