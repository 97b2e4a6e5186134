"""Registry[T]: makers by name, with an error that lists what is known."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pipeline.errors import ConfigError, suggest

T = TypeVar("T")


class Registry(Generic[T]):
    """Named values of one kind (encoders, models, losses, readers)."""

    def __init__(self, what: str) -> None:
        """Name what is registered, for error messages: ``encoder``, ``model``."""
        self._what = what
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its subject under ``name``."""

        def keep(value: T) -> T:
            """File the value and return it."""
            if name in self._known:
                raise ConfigError(f"{self._what} {name!r} is registered twice")
            self._known[name] = value
            return value

        return keep

    def __getitem__(self, name: str) -> T:
        """Return what was registered as ``name``.

        Raises:
            ConfigError: nothing was; the message lists what is known.
        """
        if name not in self._known:
            hint = suggest(name, self.names())
            raise ConfigError(f"unknown {self._what} {name!r}{hint}; known: {self.names()}")
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the registered names, sorted."""
        return iter(self.names())

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted(self._known)
