"""The typer application: gathers the verbs and turns failures into sentences and exit codes."""

import os
import sys

import typer

from pipeline.children import explain_os_error
from pipeline.cli import (
    arms,
    ask,
    carbon,
    compare,
    data,
    doctor,
    drift,
    history,
    inspect,
    keys,
    live,
    page,
    plan,
    profile,
    run,
    runs,
    tune,
)
from pipeline.cli.output import complain
from pipeline.errors import ConfigError, PlotpointeError, missing_package
from pipeline.measure.errors import MeasureError

INTERRUPTED = 130
SYSTEM_REFUSED = 7

app = typer.Typer(
    name="plotpointe",
    help="A multi-modal graph recommender: raw catalogue in, served recommendations out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
run.add_to(app)
plan.add_to(app)
inspect.add_to(app)
runs.add_to(app)
page.add_to(app)
history.add_to(app)
doctor.add_to(app)
carbon.add_to(app)
compare.add_to(app)
drift.add_to(app)
ask.add_to(app)
data.add_to(app)
tune.add_to(app)
profile.add_to(app)
live.add_to(app)
arms.add_to(app)
keys.add_to(app)


def main() -> None:
    """Run the command line; the exit code says what kind of failure ended it."""
    try:
        app()
    except PlotpointeError as error:
        complain(str(error))
        raise SystemExit(error.exit_code) from None
    except MeasureError as error:
        complain(str(error))
        raise SystemExit(ConfigError.exit_code) from None
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        complain(str(missing))
        raise SystemExit(missing.exit_code) from None
    except SystemExit as ended:  # typer turns Ctrl-C into this code and says nothing
        if ended.code == INTERRUPTED:
            complain("interrupted; nothing half-written is left, and the same command resumes")
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        complain(explain_os_error(error))
        raise SystemExit(SYSTEM_REFUSED) from None
