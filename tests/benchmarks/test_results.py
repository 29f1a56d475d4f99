"""How rounds become ratios, and how a load generator's summary is read."""

from pathlib import Path

import pytest

from benchmarks.results import Phase, Result, Sample, Series, Subject, median_ratio
from benchmarks.wrk import LoadFailed, check, read_summary

_OUTPUT = """Running 1s test @ http://127.0.0.1:8000
  1 threads and 16 connections

SUMMARY {"requests": 30, "seconds": 1.5, "bytes": 900, "p50_ms": 2, "p99_ms": 8, "broken": 0, \
"unexpected": 0}
"""


def _sample(number: int, rate: float) -> Sample:
    return Sample(number, int(rate), 1.0, rate, 1.0, 2.0)


def test_a_ratio_is_the_median_of_the_rounds_that_both_have() -> None:
    measured = [_sample(0, 10), _sample(1, 30), _sample(2, 100), _sample(3, 7)]
    against = [_sample(2, 50), _sample(1, 10), _sample(0, 10)]

    # 1, 3 and 2; the medians of the rates would be 20 against 10.
    assert median_ratio(measured, against) == 2
    assert median_ratio(measured, []) is None


def test_a_result_is_kept_whole(tmp_path: Path) -> None:
    series = Series(Phase.REFERENCES, "list", Subject.PLAIN, 10_000, 16)
    result = Result({"cores": 2}, {"phases": ["references"]}, [10_000])
    result.add({series: [_sample(0, 10), _sample(1, 20), _sample(2, 40)]})

    result.save(tmp_path / "result.json")

    read = Result.load(tmp_path / "result.json")
    assert read == result
    assert read.rate(series) == 20
    assert read.tail(series) == 2


def test_the_summary_at_the_end_is_read() -> None:
    summary = read_summary(_OUTPUT)

    assert (summary.requests, summary.rate, summary.p99_ms) == (30, 20, 8)
    check(summary, 200, "list")


def test_output_without_a_summary_is_a_failure() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        read_summary("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.parametrize("fault", ["broken", "unexpected"])
def test_answers_that_are_not_as_expected_are_a_failure(fault: str) -> None:
    summary = read_summary(_OUTPUT.replace(f'"{fault}": 0', f'"{fault}": 3'))

    with pytest.raises(LoadFailed, match=r"list: of 30 requests .*3 "):
        check(summary, 200, "list")
