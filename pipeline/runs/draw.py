"""Curves drawn in the terminal, into a PNG, or as a page."""

from itertools import cycle
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, MissingExtraError
from pipeline.page.charts import line_chart
from pipeline.page.html import Panel, page
from pipeline.runs.curves import Curves, Points

_NEEDS = "curves are drawn with {0}: pip install 'plotpointe[track]'"
_ROWS, _NARROWEST = 14, 40
_INCHES = (7.0, 3.2)
_COUNT = "epoch"
_MARKERS = ("hd", "o", "x", "+", "#", "*")
"""Told apart without colours."""


def in_terminal(curves: Curves, width: int, *, coloured: bool = False) -> str:
    """Return the curves as text, one plot a metric, ``width`` characters wide.

    Raises:
        MissingExtraError: plotext is not installed.
        ConfigError: there is no curve.
    """
    try:
        import plotext
    except ImportError:
        raise MissingExtraError(_NEEDS.format("plotext")) from None
    figure, plots = plotext.figure, []
    for metric, by_step in _must_have(curves).by_metric.items():
        figure.clear()
        figure.plot_size(max(_NARROWEST, width), _ROWS)
        figure.title(metric)
        for (name, points), marker in zip(by_step.items(), cycle(_MARKERS), strict=False):
            counts, values = zip(*points, strict=True)
            figure.draw(figure.signal([*counts], [*values], marker=marker).lines().label(name))
        figure.legend(**_free_corner([p for points in by_step.values() for p in points]))
        plots.append(str(figure.build()))
    drawn = "\n".join(plots)
    return drawn if coloured else str(plotext.uncolorize(drawn))


def _free_corner(points: Points) -> dict[str, Any]:
    """Return where the legend stands: right, above curves that fall and below those that rise."""
    values = [value for _, value in points]
    falls = points[0][1] > points[-1][1]
    return {
        "x": max(count for count, _ in points),
        "y": max(values) if falls else min(values),
        "ha": "right",
        "va": "top" if falls else "bottom",
        "relative": True,
    }


def into_png(curves: Curves, path: Path, title: str) -> None:
    """Write the curves as a picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: there is no curve.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(_NEEDS.format("matplotlib")) from None
    by_metric = _must_have(curves).by_metric
    wide, high = _INCHES
    figure = Figure(figsize=(wide, high * len(by_metric)), layout="constrained")
    axes = figure.subplots(len(by_metric), 1, squeeze=False)[:, 0]
    for axis, (metric, by_step) in zip(axes, by_metric.items(), strict=True):
        for name, points in by_step.items():
            axis.plot(*zip(*points, strict=True), marker=".", label=name)
        axis.set(title=metric, xlabel=_COUNT)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def into_html(curves: Curves, path: Path, title: str) -> None:
    """Write the curves as a page that needs nothing else.

    Raises:
        ConfigError: there is no curve.
    """
    panels = [
        Panel(metric, line_chart(by_step, metric, _COUNT))
        for metric, by_step in _must_have(curves).by_metric.items()
    ]
    path.write_text(page(title, "Curves", panels))


def _must_have(curves: Curves) -> Curves:
    if not curves.by_metric:
        raise ConfigError(
            "there is no curve to draw: nothing was logged at more than one step. Models that "
            "train (gat, lightgcn, mf …) log every epoch"
        )
    return curves
