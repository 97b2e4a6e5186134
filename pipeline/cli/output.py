"""What the verbs print: tables for people, JSON for programs, complaints for standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

_PIPE_COLUMNS = 160


def complain(text: str) -> None:
    """Write one error sentence to standard error."""
    Console(stderr=True, soft_wrap=True).print(f"error: {text}", markup=False, style="bold red")


def remark(text: str) -> None:
    """Write an explanation to standard error."""
    Console(stderr=True, soft_wrap=True).print(text, markup=False)


def _out() -> Console:
    """Return standard output; a pipe gets long lines, for grep, where a terminal folds."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)


def say(text: str) -> None:
    """Write a line of data to standard output."""
    _out().print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:  # noqa: ANN401 - JSON is any value
    """Write ``value`` as JSON to standard output."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to standard output; columns of numbers are set flush right."""
    _out().print(_table(title, columns, rows), markup=False)


def remark_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to standard error."""
    Console(stderr=True).print(_table(title, columns, rows), markup=False)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    filled = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title, title_justify="left", header_style="bold")
    for at, column in enumerate(columns):
        numbers = bool(filled) and all(_is_number(row[at]) for row in filled)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in filled:
        table.add_row(*row)
    return table


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text in {"", "-"} or (text[:1] in "+-." and text[1:2].isdigit())


def megabytes(count: float | None) -> str:
    """Return a number of bytes as ``123 MB``, or ``?`` where it is not known."""
    return "?" if count is None else f"{count / 1e6:,.0f} MB"
