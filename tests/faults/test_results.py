"""The results of the fault suite: file and table."""

from pathlib import Path

from benchmarks.report import BEGIN, END
from faults.cases import all_cases
from faults.failover import FailoverTimes
from faults.findings import Findings
from faults.report import markdown, write_table
from faults.results import CaseResult, SuiteResult

MACHINE = {
    "day": "2026-11-24",
    "commit": "abc",
    "cores": 2,
    "processor": "any",
    "python": "3.13",
    "postgresql": "18",
}
FOUND = Findings(
    lost=["the payment of one"],
    repeated_mails=2,
    requests=1200,
    errors={"503": 20, "ReadError": 1},
    longest=8.04,
)
RESULT = SuiteResult(
    MACHINE,
    [
        CaseResult(
            "one", "The first", FOUND, recovery=0.25, backlog=12, failover=FailoverTimes(3.04, 3.5)
        ),
        CaseResult("two", "The second", missing="there is no disk"),
    ],
)


def test_a_result_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    RESULT.save(path)
    assert SuiteResult.load(path) == RESULT


def test_results_of_other_cases_are_kept() -> None:
    older = [CaseResult("one", "Old"), CaseResult("three", "The third"), CaseResult("gone", "Gone")]
    merged = RESULT.with_older(older, ["three", "two", "one"])
    assert [outcome.title for outcome in merged.outcomes] == [
        "The third",
        "The second",
        "The first",
    ]


def test_results_are_a_markdown_table(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(RESULT, document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert markdown(RESULT) in text
    assert (
        "| The first | 1 | 0 | 0 | 1,200 | 503: 20, ReadError: 1;"
        " 2 mails sent twice after a lost reply; failover 3.0, errors until 3.5"
        " | 8.0 | 0.2 | 12.0 |"
    ) in text
    assert "| The second |  |  |  |  | not run: there is no disk |  |  |  |" in text


def test_case_names_are_unique() -> None:
    names = [case.name for case in all_cases()]
    assert len(set(names)) == len(names)
    assert any(case.quick for case in all_cases())
