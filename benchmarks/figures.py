"""The figures that the service is to meet, each computed from a result."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

from benchmarks import focus
from benchmarks.phases import CONNECTIONS, PROCESS_CASES
from benchmarks.results import Phase, Result, Series, Subject

MIB = 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """One number with its target."""

    phase: Phase
    name: str
    value: float | None
    """None where it was not measured; `note` says why."""
    target: float
    at_most: bool = False
    """Whether the target is the most that may be; else it is the least."""
    unit: str = " x"
    note: str = ""

    def met(self, slack: float = 1.0) -> bool | None:
        """Return whether the target is met, with a slack below 1 to allow for noise.

        None where there is no value.
        """
        if self.value is None:
            return None
        if self.at_most:
            return self.value <= self.target / slack
        return self.value >= self.target * slack

    @property
    def verdict(self) -> str:
        """The same in words."""
        met = self.met()
        return "not measured" if met is None else "met" if met else "not met"


_AGAINST_REFERENCES = (
    ("list", Subject.PLAIN, 20.0),
    ("list", Subject.ONE_QUERY, 0.7),
    ("list-fields", Subject.ONE_QUERY, 0.75),
    ("retrieve-20", Subject.PLAIN, 6.0),
    ("retrieve-20", Subject.ONE_QUERY, 0.8),
    ("retrieve-500", Subject.PLAIN, 20.0),
    ("stats-500", Subject.ONE_QUERY, 0.5),
    ("growth", Subject.ONE_QUERY, 0.5),
    ("payments", Subject.ONE_QUERY, 0.5),
    ("payments-profile", Subject.ONE_QUERY, 0.5),
    ("invoice-items-customer", Subject.ONE_QUERY, 0.5),
    ("project-costs", Subject.ONE_QUERY, 0.5),
    ("financial-reports", Subject.ONE_QUERY, 0.5),
    ("head-staff", Subject.ONE_QUERY, 0.75),
    ("head-owner", Subject.ONE_QUERY, 0.75),
    ("304-list", Subject.ONE_QUERY, 0.75),
    ("304-retrieve-20", Subject.ONE_QUERY, 0.75),
    ("304-items-20", Subject.ONE_QUERY, 0.75),
    ("304-stats-500", Subject.ONE_QUERY, 0.75),
)
_EQUALLY_MANY = (
    "list", "list-fields", "list-customer", "list-state", "list-min-sum", "head-staff",
    "head-owner", "payments", "payments-profile", "invoice-items", "invoice-items-customer",
    "project-costs", "financial-reports",
)  # fmt: skip
"""Page 1, filters and counts that match as many rows at every size, or count them all."""


_COLD = (
    ("cold-page", 9.0, 0.45),
    ("cold-pages", 4.5, 0.33),
    ("cold-retrieve-20", 4.5, 0.6),
    ("cold-retrieve-500", 25.0, 0.6),
    ("cold-pages-renames", 4.5, 0.33),
)
"""Reads with nothing kept in memory: the targets against `_RENDERING_BUILD` and `one-query`."""
_DELIVERIES = ((0.0, 1.5), (0.03, 2.2))
"""Seconds before each reply of the mail server, and the target against `_RENDERING_BUILD`."""
_FOCUS = (("csv", 6.0), ("gz", 5.0), ("parquet", 8.0), ("items", 2.5), ("large", 20.0))
"""The bills, and the targets against `_RENDERING_BUILD`."""
_FOCUS_MEMORY = (("csv", 768.0), ("large", 1024.0))
_FOCUS_AGAIN = 0.5
"""Of the time of the first import, for a second one that changes nothing."""
_CLOSE = (("close-issue", 8.0), ("close-job", 3.0))
"""Cases of the close, and the target against `_RENDERING_BUILD`, which froze no documents."""
_DATA = {"export": 2.0, "import": 1.5}
"""Cases of JSON Lines, and the targets against `_RENDERING_BUILD`."""
_RENDERING_BUILD = "834806b"
"""A build without stored lines, which renders each response."""
_BASELINE_TARGET = 0.9
"""Against any other build."""


def figures(result: Result) -> list[Figure]:
    """Return every figure of the phases that a result has."""
    measured = {Phase(name) for name in result.options["phases"]}
    makers: tuple[Callable[[Result], Iterator[Figure]], ...] = (
        _references, _tails, _cold, _sizes, _processes, _imports, _memory, _streams, _disk,
        _deliveries, _focus, _close, _baseline, _replication,
    )  # fmt: skip
    found = [figure for maker in makers for figure in maker(result)]
    return [figure for figure in found if figure.phase in measured]


def _baseline(result: Result) -> Iterator[Figure]:
    is_rendering = str(result.options.get("beside", "")).startswith(_RENDERING_BUILD)
    for series in result.samples:
        if series.phase is Phase.BASELINE and series.subject is Subject.SERVICE:
            yield Figure(
                Phase.BASELINE,
                f"{result.titles[series.case]}, against {result.options['beside']}",
                result.ratio(series, replace(series, subject=Subject.BASELINE)),
                _DATA.get(series.case, _BASELINE_TARGET) if is_rendering else _BASELINE_TARGET,
            )


def _deliveries(result: Result) -> Iterator[Figure]:
    beside = str(result.options.get("beside", ""))
    if not beside:
        return
    rates = {(one.subject, one.delay, one.round): one.rate for one in result.deliveries}
    for delay, times in _DELIVERIES:
        ratios = [
            rate / rates[Subject.BASELINE, delay, number]
            for (subject, of, number), rate in rates.items()
            if subject is Subject.SERVICE and of == delay
        ]
        yield Figure(
            Phase.DELIVERIES,
            f"deliveries, each reply after {delay * 1000:.0f} ms, against {beside}",
            median(ratios) if ratios else None,
            times if beside.startswith(_RENDERING_BUILD) else _BASELINE_TARGET,
        )


def _focus(result: Result) -> Iterator[Figure]:
    titles = {case.name: case.title for case in (*focus.CASES, focus.LARGE)}
    slow = {case.name: case.slow or case.name for case in (*focus.CASES, focus.LARGE)}
    beside = str(result.options.get("beside", ""))
    own = {(one.case, one.round): one for one in result.focus if one.subject is Subject.SERVICE}
    rates: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    for (case, _), one in own.items():
        rates.setdefault(case, []).append(one.rate)
        peaks[case] = max(one.peak, peaks.get(case, 0))
    others: dict[str, list[float]] = {}
    for one in result.focus:
        if one.subject is Subject.BASELINE:
            others.setdefault(one.case, []).append(one.rate)
    if not result.options.get("quick"):  # a small bill measures the start of the command
        for case, times in _FOCUS:
            if case in rates and slow[case] in others:
                yield Figure(
                    Phase.FOCUS,
                    f"import of a bill, {titles[case]}, against {beside}",
                    median(rates[case]) / median(others[slow[case]]),
                    times if beside.startswith(_RENDERING_BUILD) else _BASELINE_TARGET,
                    note=f"{median(rates[case]):,.0f} rows a second",
                )
        again = [
            one.seconds / own["csv", number].seconds
            for (case, number), one in own.items()
            if case == "csv-again"
        ]
        yield Figure(
            Phase.FOCUS,
            "a second import of the same bill, against the first",
            median(again) if again else None,
            _FOCUS_AGAIN,
            at_most=True,
        )
    for case, most in _FOCUS_MEMORY:
        if case in peaks:
            yield Figure(
                Phase.FOCUS,
                f"memory of the import of a bill, {titles[case]}",
                peaks[case] / MIB,
                most,
                at_most=True,
                unit=" MiB",
            )


def _close(result: Result) -> Iterator[Figure]:
    beside = str(result.options.get("beside", ""))
    if not beside:
        return
    for case, times in _CLOSE:
        ratios = [
            result.ratio(series, replace(series, subject=Subject.BASELINE))
            for series in result.samples
            if series.case == case and series.subject is Subject.SERVICE
        ]
        yield Figure(
            Phase.CLOSE,
            f"{result.titles.get(case, case)}, against {beside}",
            ratios[0] if ratios else None,
            times if beside.startswith(_RENDERING_BUILD) else _BASELINE_TARGET,
        )


def _replication(result: Result) -> Iterator[Figure]:
    ratio, note = _worst_beside_primary(result, Phase.REPLICA)
    yield Figure(
        Phase.REPLICA,
        "cost of a read with a standby, against none",
        1 / ratio if ratio else None,
        1.15,
        at_most=True,
        note=note,
    )
    loads = {one.subject: one.of_a_request for one in result.primary_loads}
    yield Figure(
        Phase.REPLICA,
        "transactions that a standby takes off the primary",
        100 * (1 - loads[Subject.SERVICE] / loads[Subject.PRIMARY]) if loads else None,
        90,
        unit=" %",
    )
    ratio, note = _worst_beside_primary(result, Phase.PGBOUNCER)
    name = "reads through PgBouncer, against a direct connection"
    yield Figure(Phase.PGBOUNCER, name, ratio, 0.9, note=note)


def _worst_beside_primary(result: Result, phase: Phase) -> tuple[float | None, str]:
    """Return the smallest ratio of the rates of a phase, and the title of its case."""
    ratios = {
        series.case: ratio
        for series in result.samples
        if series.phase is phase
        and series.subject is Subject.SERVICE
        and (ratio := result.ratio(series, replace(series, subject=Subject.PRIMARY)))
    }
    if not ratios:
        return None, result.missing.get(phase, "")
    worst = min(ratios, key=lambda case: ratios[case])
    return ratios[worst], f"the worst case: {result.titles[worst]}"


def _references(result: Result) -> Iterator[Figure]:
    for case, subject, target in _AGAINST_REFERENCES:
        title = result.titles.get(case, case)
        value = result.ratio(_beside(result, case), _beside(result, case, subject))
        note = result.missing.get(case, "")
        yield Figure(Phase.REFERENCES, f"{title}, against {subject}", value, target, note=note)


def _cold(result: Result) -> Iterator[Figure]:
    beside = str(result.options.get("beside", ""))
    for case, times, of_one_query in _COLD:
        service, one_query, baseline = (
            Series(Phase.COLD, case, subject, min(result.sizes), CONNECTIONS)
            for subject in (Subject.SERVICE, Subject.ONE_QUERY, Subject.BASELINE)
        )
        title = result.titles.get(case, case)
        if beside:
            target = times if beside.startswith(_RENDERING_BUILD) else _BASELINE_TARGET
            ratio = result.ratio(service, baseline)
            yield Figure(Phase.COLD, f"{title}, against {beside}", ratio, target)
        ratio = result.ratio(service, one_query)
        yield Figure(Phase.COLD, f"{title}, against one-query", ratio, of_one_query)


def _tails(result: Result) -> Iterator[Figure]:
    tails = {
        series.case: tail
        for series in result.samples
        if series.phase is Phase.REFERENCES
        and series.subject is Subject.SERVICE
        and series.connections == CONNECTIONS
        and (tail := result.tail(series)) is not None
    }
    worst = max(tails, key=lambda case: tails[case], default="")
    yield Figure(
        Phase.REFERENCES,
        "p99 against p50, the worst case",
        tails.get(worst),
        4.0,
        at_most=True,
        note=result.titles.get(worst, worst),
    )


def _sizes(result: Result) -> Iterator[Figure]:
    small, large = min(result.sizes), max(result.sizes)
    if small == large:
        return
    between = f"{large:,} invoices against {small:,}"

    def ratio(case: str) -> float | None:
        return result.ratio(_sized(case, large), _sized(case, small))

    ratios = {case: value for case in _EQUALLY_MANY if (value := ratio(case)) is not None}
    worst = min(ratios, key=lambda case: ratios[case], default="")
    yield Figure(
        Phase.SIZES,
        f"page 1, counts and filters, {between}, the worst case",
        ratios.get(worst),
        0.7,
        note=result.titles.get(worst, worst),
    )
    yield Figure(Phase.SIZES, f"growth, {between}", ratio("growth"), 0.3)
    yield Figure(
        Phase.SIZES,
        f"last page against page 1, {large:,} invoices",
        result.ratio(_sized("list-last", large), _sized("list", large)),
        0.1,
    )


def _processes(result: Result) -> Iterator[Figure]:
    ratios = {
        case: value
        for case in PROCESS_CASES
        if (value := result.ratio(_of_processes(result, case, 2), _of_processes(result, case, 1)))
    }
    worst = min(ratios, key=lambda case: ratios[case], default="")
    yield Figure(
        Phase.PROCESSES,
        "two processes against one, the worst case",
        ratios.get(worst),
        1.3,
        note=result.titles.get(worst, worst),
    )


def _imports(result: Result) -> Iterator[Figure]:
    ratios = [one.ratio for one in result.imports]
    value = median(ratios) if ratios else None
    yield Figure(Phase.IMPORT, "import of JSON Lines against a raw COPY", value, 0.5)


def _memory(result: Result) -> Iterator[Figure]:
    worst = max(result.memory, key=lambda one: one.peak, default=None)
    yield Figure(
        Phase.REFERENCES,
        "memory of a serving process, its peak",
        worst.peak / MIB if worst else None,
        220.0,
        at_most=True,
        unit=" MiB",
        note=f"while measuring {worst.phase}" if worst else "",
    )


def _streams(result: Result) -> Iterator[Figure]:
    for path in ("items", "invoice"):
        slow = [stream for stream in result.streams if stream.slow and stream.path == path]
        yield Figure(
            Phase.STREAMS,
            f"more memory while a slow reader takes the largest {path}",
            max(stream.growth for stream in slow) / MIB if slow else None,
            25.0,
            at_most=True,
            unit=" MiB",
        )


def _disk(result: Result) -> Iterator[Figure]:
    size = max(result.footprints, default=None)
    if size is None:
        return
    taken = result.footprints[size]
    for phase, what, disk, most, remark in (
        (Phase.COLD, "stored lines", taken.representations, 0.35, "of every issued invoice"),
        (Phase.REFERENCES, "summaries and all else", taken.auxiliary, 1.0, ""),
        (Phase.REFERENCES, "the record of changes", taken.record, 2.0, "each row was added once"),
    ):
        yield Figure(
            phase,
            f"disk for {what}, against the items, {size:,} invoices",
            disk / taken.items,
            most,
            at_most=True,
            note=f"{disk / MIB:,.1f} of {taken.items / MIB:,.0f} MiB{remark and '; '}{remark}",
        )


def _beside(result: Result, case: str, subject: Subject = Subject.SERVICE) -> Series:
    return Series(Phase.REFERENCES, case, subject, min(result.sizes), CONNECTIONS)


def _sized(case: str, size: int) -> Series:
    return Series(Phase.SIZES, case, Subject.SERVICE, size, CONNECTIONS)


def _of_processes(result: Result, case: str, number: int) -> Series:
    return Series(Phase.PROCESSES, case, Subject.SERVICE, min(result.sizes), CONNECTIONS, number)
