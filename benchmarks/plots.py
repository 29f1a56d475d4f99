"""Plots of a result as small SVG files that are the same for the same result."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks.phases import CONNECTIONS
from benchmarks.results import Phase, Result, Series, Subject

_LINES = {
    "list": "list, page 1",
    "list-fields": "list, four fields",
    "list-last": "list, last page",
    "head-staff": "count",
    "retrieve-20": "invoice of 20 items",
    "growth": "growth",
}
_COSTS = {
    "list": "list",
    "list-fields": "list, four fields",
    "retrieve-20": "invoice, 20 items",
    "retrieve-500": "invoice, 500 items",
    "stats-500": "stats, 500 items",
    "growth": "growth",
}
_SUBJECTS = (Subject.SERVICE, Subject.ONE_QUERY, Subject.CEILING, Subject.PLAIN)
_INCHES = (7.0, 3.6)


def draw(result: Result, folder: Path) -> dict[str, str]:
    """Write the plots that the result has the numbers for; return their names and titles."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    # Text stays text, and names of parts do not change from one time to the next.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmark"}):
        for name, title, canvas in (
            ("size.svg", "Cost of a request against the number of invoices", _by_size(result)),
            ("references.svg", "Cost of a request beside the references", _beside(result)),
        ):
            if canvas is not None:
                canvas.savefig(folder / name, format="svg", metadata={"Date": None})
                drawn[name] = title
    return drawn


def _by_size(result: Result) -> Canvas | None:
    canvas = Canvas(figsize=_INCHES, layout="constrained")
    axes = canvas.add_subplot()
    for case, label in _LINES.items():
        points = list(_points(result, case))
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
    if not axes.lines:
        return None
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("invoices")
    axes.set_ylabel("ms of the process for a request")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return canvas


def _points(result: Result, case: str) -> Iterator[tuple[int, float]]:
    for size in result.sizes:
        rate = result.rate(Series(Phase.SIZES, case, Subject.SERVICE, size, CONNECTIONS))
        if rate:
            yield size, 1000 / rate


def _beside(result: Result) -> Canvas | None:
    canvas = Canvas(figsize=_INCHES, layout="constrained")
    axes = canvas.add_subplot()
    width = 0.8 / len(_SUBJECTS)
    size = min(result.sizes)
    for position, subject in enumerate(_SUBJECTS):
        places, costs = [], []
        for number, case in enumerate(_COSTS):
            rate = result.rate(Series(Phase.REFERENCES, case, subject, size, CONNECTIONS))
            if rate:
                places.append(number + position * width)
                costs.append(1000 / rate)
        if costs:
            axes.bar(places, costs, width, label=str(subject))
    if not axes.patches:
        return None
    axes.set_yscale("log")
    axes.set_ylabel("ms for a request, less is better")
    axes.set_xticks([number + 0.3 for number in range(len(_COSTS))], list(_COSTS.values()))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return canvas
