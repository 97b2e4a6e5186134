"""The command line: thin verbs over the pipeline and the service.

Data goes to standard output, progress and explanations to standard error; ``--json`` turns every
printed table into JSON; a user's mistake is one sentence and an exit code, never a stack trace.
"""

from pipeline.cli.app import app, main

__all__ = ["app", "main"]
