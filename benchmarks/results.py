"""The measurements of a run, from which figures and plots are computed, and their file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.loading import Footprint


class Subject(StrEnum):
    """The subject of a measurement: the service, or one of the references."""

    SERVICE = "service"
    CEILING = "ceiling"
    ONE_QUERY = "one-query"
    PLAIN = "plain"
    PRIMARY = "primary"
    """The service with a direct connection to the primary, and nothing else."""
    BASELINE = "baseline"
    """The service as another commit builds it."""


class Phase(StrEnum):
    """The phases of a run; only measurements of the same phase are compared."""

    REFERENCES = "references"
    """Each case beside its references, in the smallest database."""
    SIZES = "sizes"
    """The cases that depend on it in databases of every size."""
    PROCESSES = "processes"
    """Two serving processes beside one."""
    STREAMS = "streams"
    """Answers of very many items."""
    IMPORT = "import"
    DELIVERIES = "deliveries"
    FOCUS = "focus"
    """The import of bills."""
    CLOSE = "close"
    """The close of a month."""
    BASELINE = "baseline"
    """The central cases beside the build of another commit."""
    COLD = "cold"
    """Reads of issued invoices with nothing kept in memory."""
    REPLICA = "replica"
    """Reads from a standby beside reads from the primary."""
    PGBOUNCER = "pgbouncer"
    """Reads through PgBouncer beside reads from a direct connection."""


@dataclass(frozen=True)
class Series:
    """One case of one subject, measured in rounds."""

    phase: Phase
    case: str
    subject: Subject
    size: int
    """Invoices in the database."""
    connections: int
    processes: int = 1


@dataclass(frozen=True)
class Sample:
    """The result of one round of a series."""

    round: int
    requests: int
    seconds: float
    rate: float
    """Requests per second."""
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Stream:
    """One answer of many items, read fast or slowly."""

    path: str
    """Which answer: `items` or `invoice`."""
    slow: bool
    bytes: int
    first_byte_seconds: float
    whole_seconds: float
    memory_before: int
    """Resident bytes of the server just before."""
    memory_peak: int
    """The most while the answer was read."""

    @property
    def growth(self) -> int:
        """By how many bytes the server grew meanwhile."""
        return self.memory_peak - self.memory_before


@dataclass(frozen=True)
class ImportRound:
    """Rows per second of an import and of a raw COPY of the same rows."""

    rows: int
    import_seconds: float
    copy_seconds: float

    @property
    def ratio(self) -> float:
        """How fast the import is against the COPY."""
        return self.copy_seconds / self.import_seconds


@dataclass(frozen=True)
class DeliveryRound:
    """Messages that a worker sent, from the first to the last that arrived."""

    subject: Subject
    round: int
    delay: float
    """Seconds before each reply of the mail server."""
    messages: int
    seconds: float
    cpu_seconds: float
    """CPU time of the worker's process, for all of them."""

    @property
    def rate(self) -> float:
        """Messages per second."""
        return (self.messages - 1) / self.seconds


@dataclass(frozen=True)
class FocusRound:
    """One import of a bill, by the whole command."""

    subject: Subject
    case: str
    round: int
    rows: int
    seconds: float
    peak: int
    """The peak memory of the process in bytes."""

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class PrimaryLoad:
    """The transactions of the primary while a service read."""

    subject: Subject
    requests: int
    transactions: int

    @property
    def of_a_request(self) -> float:
        """Transactions for each request."""
        return self.transactions / self.requests


@dataclass(frozen=True)
class Memory:
    """The peak of one serving process, in bytes."""

    phase: str
    peak: int


@dataclass
class Result:
    """All measurements of a run."""

    machine: Mapping[str, Any]
    options: Mapping[str, Any]
    sizes: Sequence[int]
    samples: dict[Series, list[Sample]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Cases that could not be measured, and why."""
    titles: dict[str, str] = field(default_factory=dict)
    """The name of each case."""
    streams: list[Stream] = field(default_factory=list)
    imports: list[ImportRound] = field(default_factory=list)
    deliveries: list[DeliveryRound] = field(default_factory=list)
    focus: list[FocusRound] = field(default_factory=list)
    primary_loads: list[PrimaryLoad] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    footprints: dict[int, Footprint] = field(default_factory=dict)

    def add(self, measured: Mapping[Series, list[Sample]]) -> None:
        """Add the measurements of a phase."""
        for series, samples in measured.items():
            self.samples.setdefault(series, []).extend(samples)

    def rate(self, series: Series) -> float | None:
        """Return the median of the rates; None if it was not measured."""
        return _median(sample.rate for sample in self.samples.get(series, []))

    def p50(self, series: Series) -> float | None:
        """Return the median of the medians of latency, in milliseconds."""
        return _median(sample.p50_ms for sample in self.samples.get(series, []))

    def p99(self, series: Series) -> float | None:
        """Return the median of the 99th percentiles of latency, in milliseconds."""
        return _median(sample.p99_ms for sample in self.samples.get(series, []))

    def tail(self, series: Series) -> float | None:
        """Return the median of p99 / p50."""
        samples = self.samples.get(series, [])
        return _median(sample.p99_ms / sample.p50_ms for sample in samples if sample.p50_ms)

    def ratio(self, measured: Series, against: Series) -> float | None:
        """Return the median of the ratios of the rates, each of one round."""
        return median_ratio(self.samples.get(measured, []), self.samples.get(against, []))

    def save(self, path: Path) -> None:
        """Write the result as JSON."""
        value = {
            "machine": self.machine,
            "options": self.options,
            "sizes": list(self.sizes),
            "series": [
                {**asdict(series), "rounds": [asdict(sample) for sample in samples]}
                for series, samples in self.samples.items()
            ],
            "missing": self.missing,
            "titles": self.titles,
            "streams": [asdict(stream) for stream in self.streams],
            "imports": [asdict(one) for one in self.imports],
            "deliveries": [asdict(one) for one in self.deliveries],
            "focus": [asdict(one) for one in self.focus],
            "primary_loads": [asdict(one) for one in self.primary_loads],
            "memory": [asdict(one) for one in self.memory],
            "footprints": {size: asdict(one) for size, one in self.footprints.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote."""
        value = json.loads(path.read_text())
        samples = {}
        for one in value["series"]:
            rounds = [Sample(**sample) for sample in one.pop("rounds")]
            enums = {"phase": Phase(one["phase"]), "subject": Subject(one["subject"])}
            samples[Series(**one | enums)] = rounds
        return cls(
            machine=value["machine"],
            options=value["options"],
            sizes=value["sizes"],
            samples=samples,
            missing=value["missing"],
            titles=value["titles"],
            streams=[Stream(**one) for one in value["streams"]],
            imports=[ImportRound(**one) for one in value["imports"]],
            deliveries=[
                DeliveryRound(**one | {"subject": Subject(one["subject"])})
                for one in value["deliveries"]
            ],
            focus=[
                FocusRound(**one | {"subject": Subject(one["subject"])})
                for one in value.get("focus", [])
            ],
            primary_loads=[
                PrimaryLoad(**one | {"subject": Subject(one["subject"])})
                for one in value.get("primary_loads", [])
            ],
            memory=[Memory(**one) for one in value["memory"]],
            footprints={int(k): Footprint(**one) for k, one in value["footprints"].items()},
        )


def median_ratio(measured: Sequence[Sample], against: Sequence[Sample]) -> float | None:
    """Return the median of the ratios of rates, over rounds that both have; None without any."""
    rates = {sample.round: sample.rate for sample in against}
    return _median(
        sample.rate / rates[sample.round] for sample in measured if rates.get(sample.round)
    )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
