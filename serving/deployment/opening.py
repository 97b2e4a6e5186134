"""A fingerprint to an arm: opened, verified and asked for its canaries, or refused by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.artifacts import Artifact, Store, check_version
from pipeline.errors import ArtifactError, PlotpointeError
from pipeline.promises import cure, examine
from serving.bundle import Bundle
from serving.deployment.arms import Arm
from serving.messages_operations import Reason, Role


class RefusedError(ArtifactError):
    """A bundle that is not taken into service, and why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Name the reason and tell the detail."""
        super().__init__(detail)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Opener:
    """Opens bundles of a store; ``make`` turns a bundle into what answers from it."""

    store: Store
    make: Callable[[Role, Bundle], Arm]
    verify: bool = True

    def open(self, fingerprint: str, role: Role) -> Arm:
        """Return an arm on the bundle of this fingerprint.

        Raises:
            RefusedError: with the reason.
        """
        bundle = open_verified(self.store, fingerprint, verify=self.verify)
        with _named("broken"):
            arm = self.make(role, bundle)
        if not arm.check.ready:
            raise RefusedError("index", f"bundle {arm.fingerprint}: {arm.check.reason}")
        return arm


def open_verified(store: Store, fingerprint: str | None, *, verify: bool = True) -> Bundle:
    """Return the bundle of this fingerprint, or the promoted one.

    Raises:
        RefusedError: with the reason.
    """
    artifact = _found(store, fingerprint)
    with _named("version"):
        check_version(artifact)
    if verify:
        _verify(artifact)
    with _named("broken"):
        return Bundle.of(artifact)


def _found(store: Store, fingerprint: str | None) -> Artifact:
    """Return the artifact without looking at any other: one bad neighbour is no reason."""
    name = fingerprint or store.current("bundle")
    with _named("missing"):
        if name is None:
            raise ArtifactError(
                f"no bundle is promoted in {store.root}. Promote one: plotpointe promote bundle/…"
            )
        found = store.find("bundle", name)
        if found is None:
            raise ArtifactError(f"{store.root} holds no bundle {name}")
    return found


def _verify(artifact: Artifact) -> None:
    """Refuse a bundle that breaks a promise.

    Raises:
        RefusedError: ``altered`` where bytes differ, ``mixed`` where whole files do not belong.
    """
    with _named("broken"):
        broken = [check for check in examine(artifact) if not check.kept]
    if not broken:
        return
    reason: Reason = "altered" if any(_of_bytes(check.rule) for check in broken) else "mixed"
    told = "; ".join(map(str, broken))
    raise RefusedError(
        reason, f"bundle {artifact.fingerprint} breaks its promises: {told}. {cure(artifact)}"
    )


def _of_bytes(rule: str) -> bool:
    return "of the manifest" in rule or rule == "is there"


@contextmanager
def _named(reason: Reason) -> Iterator[None]:
    """Give every failure inside a reason: whatever is wrong with a bundle, the old one serves."""
    try:
        yield
    except RefusedError:
        raise
    except PlotpointeError as error:
        raise RefusedError(reason, str(error)) from error
    except Exception as error:
        raise RefusedError(reason, f"{type(error).__name__}: {error}") from error
