"""The errors a user can cause, each with an exit code and a sentence that says what to do."""

from difflib import get_close_matches


class PlotpointeError(Exception):
    """A failure that is explained to the user without a stack trace."""

    exit_code = 1


class ConfigError(PlotpointeError):
    """The configuration is wrong: unknown key, bad value, contradiction."""

    exit_code = 2


class DataError(PlotpointeError):
    """Raw input is missing, unreadable, or too dirty to use."""

    exit_code = 3


class ArtifactError(PlotpointeError):
    """An artifact is missing, incomplete, altered, or from another run or version."""

    exit_code = 4


class MissingExtraError(PlotpointeError):
    """An optional package is needed for what was asked."""

    exit_code = 5


class StageFailedError(PlotpointeError):
    """A stage's process ended without a result (killed, out of memory, a bug)."""

    exit_code = 6


class StageKilledError(StageFailedError):
    """A stage's process was ended from outside, without a word."""


class DoesNotFitError(PlotpointeError):
    """What was asked for needs more memory or disk than this machine has."""

    exit_code = 8


class BudgetExceededError(PlotpointeError):
    """A run, or the month, has used the energy or carbon that it was given."""

    exit_code = 12


class RegressionAlarmError(PlotpointeError):
    """Recent runs are worse than those before, beyond chance."""

    exit_code = 13


class GateFailedError(PlotpointeError):
    """A comparison was made, and a gate on it failed."""

    exit_code = 10


class DriftError(PlotpointeError):
    """Two versions of data were compared, and they differ by more than is allowed."""

    exit_code = 11


def missing_package(error: ModuleNotFoundError) -> PlotpointeError:
    """Return what to say where a package is not installed: the service needs fewer than stages."""
    name = str(error.name).partition(".")[0]
    if name in ("pipeline", "serving"):
        return StageFailedError(f"a module of ours is missing, which is a bug: {error}")
    return MissingExtraError(f"this needs {name}: pip install 'plotpointe[pipeline]'")


def suggest(wrong: str, known: list[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or an empty string."""
    close = get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
