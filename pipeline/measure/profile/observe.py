"""Functions and layers that a profile names, beside what torch names itself.

A function is observed by putting a wrapper in its place while the profile is taken. Where somebody
knows what it computes and moves, its name gets floating-point operations and bytes.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NamedTuple

MODULE, FUNCTION = "module: ", "function: "
"""Before the names of layers and of observed functions, among the names of a profile."""


class Work(NamedTuple):
    """What one call does."""

    flops: float
    bytes: float
    """Read and written, where nothing is in a cache before."""


@dataclass(frozen=True)
class Observed:
    """A function to name in a profile."""

    name: str
    """As people know it: ``sparse product``."""
    target: str
    """Where callers find it: ``package.module:function`` or ``package.module:Class.method``."""
    work: Callable[[Sequence[Any], Any], Work] | None = None
    """What a call does, from its arguments and its result; None where nobody knows."""


@dataclass
class Tally:
    """What the calls of an observed function came to."""

    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    knows_work: bool = True

    def add(self, seconds: float, work: Work | None) -> None:
        """Count one call."""
        self.calls += 1
        self.seconds += seconds
        if work is None:
            self.knows_work = False
            return
        self.flops += work.flops
        self.bytes += work.bytes


@dataclass
class Observer:
    """Tallies of what was observed."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    @contextmanager
    def watching(self, observed: Sequence[Observed]) -> Iterator[None]:
        """Put wrappers in the places of the functions whose modules are loaded, then take them out.

        Raises:
            AttributeError: a target names nothing.
        """
        places = [_place_of(each) for each in observed if _loaded(each)]
        originals = [(owner, name, vars(owner)[name]) for owner, name, _ in places]
        for owner, name, each in places:
            setattr(owner, name, self._wrapped(getattr(owner, name), each))
        try:
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def _wrapped(self, function: Callable[..., Any], observed: Observed) -> Callable[..., Any]:
        tally = self.tallies.setdefault(observed.name, Tally())

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
            """Do what the function does, named and counted."""
            with named(FUNCTION + observed.name):
                begun = time.perf_counter()
                result = function(*args, **kwargs)
                seconds = time.perf_counter() - begun
            tally.add(seconds, observed.work(args, result) if observed.work else None)
            return result

        return call


def _loaded(observed: Observed) -> bool:
    return observed.target.partition(":")[0] in sys.modules


def _place_of(observed: Observed) -> tuple[Any, str, Observed]:
    module, _, path = observed.target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    if name not in vars(owner):
        raise AttributeError(f"{observed.target} names nothing")
    return owner, name, observed


def named(name: str) -> AbstractContextManager[Any]:
    """Return a block that torch's profiler shows by this name; nothing where torch is not used."""
    torch = sys.modules.get("torch")
    if torch is None:
        return nullcontext()
    block: AbstractContextManager[Any] = torch.profiler.record_function(name)
    return block


class Layers:
    """Names every ``torch.nn.Module`` while its forward runs."""

    def __init__(self) -> None:
        """Know no layer yet."""
        self._names: dict[int, str] = {}
        self._open: list[tuple[int, AbstractContextManager[Any]]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Name layers inside the block; torch must be loaded."""
        from torch.nn.modules import module as hooks

        before = hooks.register_module_forward_pre_hook(self._enter)
        after = hooks.register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()
            while self._open:
                self._open.pop()[1].__exit__(None, None, None)

    def _enter(self, module: Any, _: object) -> None:  # noqa: ANN401 - torch may be absent
        if id(module) not in self._names or not self._open:
            self._learn_names(module)
        block = named(MODULE + self._names[id(module)])
        block.__enter__()
        self._open.append((id(module), block))

    def _leave(self, module: Any, *_: object) -> None:  # noqa: ANN401
        while self._open:  # a forward that failed may have left its own inside
            opened, block = self._open.pop()
            block.__exit__(None, None, None)
            if opened == id(module):
                return

    def _learn_names(self, root: Any) -> None:  # noqa: ANN401
        """Name the layers of the module that was called from outside of all others."""
        outer = type(root).__name__
        if self._open:
            outer = f"{self._names[self._open[-1][0]]} > {outer}"
        for path, module in root.named_modules():
            self._names[id(module)] = f"{outer}.{path}" if path else outer
