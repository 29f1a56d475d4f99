"""A result as a table for the terminal, and as the generated part of the documentation."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.figures import MIB, Figure
from benchmarks.phases import CONNECTIONS
from benchmarks.results import Phase, Result, Series, Subject

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"
_LEAST_WIDTH = 120
"""Minimum width of the tables in columns."""


def show(result: Result, figures: Sequence[Figure]) -> None:
    """Print cases and figures."""
    out = Console(highlight=False)
    out.width = max(out.width, _LEAST_WIDTH)
    cases = Table(title=f"Requests per second, {CONNECTIONS} connections", box=None)
    for heading in _CASE_HEADINGS:
        cases.add_column(heading, justify="left" if heading == "case" else "right")
    for row in _case_rows(result):
        cases.add_row(*row)
    if cases.row_count:
        out.print(cases)
    if rows := list(_baseline_rows(result)):
        beside = Table(title="Rates beside the other build, medians", box=None)
        for heading in ("case", "this build", str(result.options["beside"])):
            beside.add_column(heading, justify="left" if heading == "case" else "right")
        for row in rows:
            beside.add_row(*row)
        out.print(beside)
    table = Table(title="Figures", box=None)
    for heading in _FIGURE_HEADINGS:
        table.add_column(heading, justify="right" if heading in {"measured", "target"} else "left")
    for figure in figures:
        style = {True: "green", False: "red", None: "yellow"}[figure.met()]
        table.add_row(*_figure_row(figure), style=style)
    out.print(table)
    for line in _remarks(result):
        out.print(line, markup=False)


def write(result: Result, figures: Sequence[Figure], document: Path) -> None:
    """Put the tables between the marks of a document, and the plots into a folder beside it."""
    from benchmarks import plots

    folder = document.with_suffix("")
    names = plots.draw(result, folder)
    images = "\n".join(f"![{title}]({folder.name}/{name})" for name, title in names.items())
    generated = f"{markdown(result, figures)}\n\n{images}"
    document.write_text(replaced(document.read_text(), generated))


def replaced(text: str, generated: str) -> str:
    """Replace the text between the marks of a document; raises ValueError without marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def markdown(result: Result, figures: Sequence[Figure]) -> str:
    """Return figures, cases and remarks as Markdown."""
    machine = result.machine
    about = (
        f"Measured on {machine['day']} at commit `{machine['commit']}`: {machine['cores']} cores"
        f" ({machine['processor']}), Python {machine['python']}, PostgreSQL"
        f" {machine['postgresql']}, FastAPI {machine['fastapi']}, SQLAlchemy"
        f" {machine['sqlalchemy']}; {result.options['rounds']} rounds of"
        f" {result.options['seconds']} s."
    )
    parts = [
        about,
        markdown_table(_FIGURE_HEADINGS, map(_figure_row, figures), "lrrll"),
        f"Requests per second in the smallest database, {CONNECTIONS} connections:",
        markdown_table(_CASE_HEADINGS, _case_rows(result), "lrrrrrrr"),
    ]
    if rows := list(_size_rows(result)):
        headings = ("case", *(f"{size:,} invoices" for size in result.sizes))
        parts += [
            "Requests per second against the number of invoices:",
            markdown_table(headings, rows, "l" + "r" * len(result.sizes)),
        ]
    if remarks := list(_remarks(result)):
        parts.append("\n".join(f"- {line}" for line in remarks))
    return "\n\n".join(parts)


_FIGURE_HEADINGS = ("figure", "measured", "target", "", "note")
_CASE_HEADINGS = (
    "case", "service", "p50 ms", "p99 ms", "one-query", "ceiling", "plain", "alone",
)  # fmt: skip


def _figure_row(figure: Figure) -> tuple[str, ...]:
    sign = "≤" if figure.at_most else "≥"
    value = "-" if figure.value is None else f"{figure.value:.2f}{figure.unit}"
    return figure.name, value, f"{sign} {figure.target:g}{figure.unit}", figure.verdict, figure.note


def _case_rows(result: Result) -> Iterator[tuple[str, ...]]:
    size = min(result.sizes)
    for case, title in result.titles.items():

        def series(subject: Subject, connections: int = CONNECTIONS, name: str = case) -> Series:
            return Series(Phase.REFERENCES, name, subject, size, connections)

        service = series(Subject.SERVICE)
        if service not in result.samples:
            continue
        yield (
            title,
            _number(result.rate(service)),
            _number(result.p50(service), 1),
            _number(result.p99(service), 1),
            _number(result.rate(series(Subject.ONE_QUERY))),
            _number(result.rate(series(Subject.CEILING))),
            _number(result.rate(series(Subject.PLAIN)), 1),
            _number(result.rate(series(Subject.SERVICE, 1))),
        )


def _baseline_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for series in result.samples:
        if series.phase is Phase.BASELINE and series.subject is Subject.SERVICE:
            other = replace(series, subject=Subject.BASELINE)
            title = result.titles[series.case]
            yield title, _number(result.rate(series)), _number(result.rate(other))


def _size_rows(result: Result) -> Iterator[tuple[str, ...]]:
    cases = dict.fromkeys(s.case for s in result.samples if s.phase is Phase.SIZES)
    for case in cases:
        rates = (
            result.rate(Series(Phase.SIZES, case, Subject.SERVICE, size, CONNECTIONS))
            for size in result.sizes
        )
        yield result.titles.get(case, case), *map(_number, rates)


def _remarks(result: Result) -> Iterator[str]:
    for case, reason in result.missing.items():
        yield f"{result.titles.get(case, case)}: {reason}."
    for stream in result.streams:
        yield (
            f"{stream.path} of {stream.bytes / MIB:.0f} MiB,"
            f" read {'slowly' if stream.slow else 'fast'}:"
            f" first byte after {stream.first_byte_seconds * 1000:,.0f} ms, whole after"
            f" {stream.whole_seconds:.1f} s, {stream.growth / MIB:.1f} MiB more memory."
        )
    for one in result.imports:
        yield (
            f"Import of {one.rows:,} rows in {one.import_seconds:.1f} s, the whole command;"
            f" raw COPY in {one.copy_seconds:.1f} s."
        )
    yield from _remarks_on_deliveries(result)
    yield from _remarks_on_the_close(result)
    for size, taken in result.footprints.items():
        yield (
            f"{size:,} invoices on disk: items {taken.items / MIB:,.0f} MiB, invoices"
            f" {taken.invoices / MIB:,.0f} MiB, other loaded tables {taken.others / MIB:,.0f} MiB,"
            f" the record of changes {taken.record / MIB:,.0f} MiB,"
            f" stored lines {taken.representations / MIB:,.0f} MiB,"
            f" all else {taken.auxiliary / MIB:.1f} MiB."
        )


def _remarks_on_deliveries(result: Result) -> Iterator[str]:
    sides = dict.fromkeys((each.subject, each.delay) for each in result.deliveries)
    for subject, delay in sides:
        rounds = [one for one in result.deliveries if (one.subject, one.delay) == (subject, delay)]
        rate = median(one.rate for one in rounds)
        cpu = median(one.cpu_seconds / one.messages for one in rounds)
        build = str(result.options["beside"]) if subject is Subject.BASELINE else "this build"
        yield (
            f"Deliveries by {build}, each reply after {delay * 1000:.0f} ms:"
            f" {rate:.0f} a second, {cpu * 1000:.1f} ms of CPU each in the worker."
        )


def _remarks_on_the_close(result: Result) -> Iterator[str]:
    for series in result.samples:
        if series.phase is Phase.CLOSE:
            title = result.titles[series.case]
            is_other = series.subject is Subject.BASELINE
            build = str(result.options["beside"]) if is_other else "this build"
            yield f"{series.size:,} {title}, by {build}: {_number(result.rate(series))} a second."


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def markdown_table(headings: Sequence[str], rows: Iterable[tuple[str, ...]], alignment: str) -> str:
    rule = {"l": "---", "r": "---:"}
    lines = [headings, tuple(rule[side] for side in alignment), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
