"""The text of figures, and the files that they are written to."""

import pytest

from benchmarks.figures import Figure, figures
from benchmarks.report import BEGIN, END, markdown, replaced
from benchmarks.results import Phase, PrimaryLoad, Result, Sample, Series, Subject

_MACHINE = {
    "day": "2026-11-24",
    "commit": "abc",
    "cores": 2,
    "processor": "any",
    "python": "3.13",
    "postgresql": "18",
    "fastapi": "1",
    "sqlalchemy": "2",
}


@pytest.fixture
def result() -> Result:
    result = Result(
        _MACHINE,
        {"phases": ["references"], "rounds": 1, "seconds": 1},
        [10_000],
        titles={"list": "the list", "304-list": "unchanged: list"},
        missing={"304-list": "no ETag"},
    )
    for subject, rate in ((Subject.SERVICE, 300.0), (Subject.PLAIN, 10.0)):
        series = Series(Phase.REFERENCES, "list", subject, 10_000, 16)
        result.add({series: [Sample(0, 300, 1.0, rate, 2.0, 10.0)]})
    return result


def _figure(result: Result, name: str) -> Figure:
    (found,) = [figure for figure in figures(result) if figure.name == name]
    return found


def test_a_figure_is_met_missed_or_not_measured(result: Result) -> None:
    beside_plain = _figure(result, "the list, against plain")
    assert (beside_plain.value, beside_plain.verdict) == (30, "met")

    tail = _figure(result, "p99 against p50, the worst case")
    assert (tail.value, tail.verdict, tail.note) == (5, "not met", "the list")

    unchanged = _figure(result, "unchanged: list, against one-query")
    assert (unchanged.met(), unchanged.note) == (None, "no ETag")


def test_slack_forgives_a_little_on_the_side_that_falls_short() -> None:
    least = Figure(Phase.REFERENCES, "least", 0.9, 1.0)
    most = Figure(Phase.REFERENCES, "most", 1.1, 1.0, at_most=True)

    assert (least.met(), least.met(0.85), least.met(0.95)) == (False, True, False)
    assert (most.met(), most.met(0.85), most.met(0.95)) == (False, True, False)


def test_figures_of_parts_that_were_not_asked_for_are_left_out(result: Result) -> None:
    assert {figure.phase for figure in figures(result)} == {Phase.REFERENCES}


def test_a_build_is_compared_round_by_round_with_that_of_another_commit() -> None:
    result = Result(
        _MACHINE,
        {"phases": ["baseline"], "beside": "abc"},
        [10_000],
        titles={"list": "the list"},
    )
    for subject, rates in ((Subject.SERVICE, (80.0, 10.0)), (Subject.BASELINE, (100.0, 10.0))):
        series = Series(Phase.BASELINE, "list", subject, 10_000, 16)
        samples = [Sample(number, 1, 1.0, rate, 2.0, 10.0) for number, rate in enumerate(rates)]
        result.add({series: samples})
    (figure,) = figures(result)
    assert (figure.name, figure.value, figure.met()) == ("the list, against abc", 0.9, True)


def test_a_standby_has_a_cost_and_takes_load_off_the_primary() -> None:
    result = Result(
        _MACHINE, {"phases": ["replica", "pgbouncer"]}, [10_000], titles={"list": "the list"}
    )
    for phase in (Phase.REPLICA, Phase.PGBOUNCER):
        for subject, rate in ((Subject.SERVICE, 80.0), (Subject.PRIMARY, 100.0)):
            series = Series(phase, "list", subject, 10_000, 16)
            result.add({series: [Sample(0, 1, 1.0, rate, 2.0, 10.0)]})
    result.primary_loads = [
        PrimaryLoad(Subject.SERVICE, 200, 10),
        PrimaryLoad(Subject.PRIMARY, 100, 100),
    ]
    found = [(figure.value, figure.verdict) for figure in figures(result)]
    assert found == [(1.25, "not met"), (95, "met"), (0.8, "not met")]


@pytest.mark.parametrize(("case", "target"), [("export", 2.0), ("import", 1.5), ("list", 0.9)])
def test_export_and_import_have_targets_of_their_own_against_the_first_build(
    case: str, target: float
) -> None:
    result = Result(
        _MACHINE, {"phases": ["baseline"], "beside": "834806b"}, [10_000], titles={case: case}
    )
    for subject in (Subject.SERVICE, Subject.BASELINE):
        series = Series(Phase.BASELINE, case, subject, 10_000, 1)
        result.add({series: [Sample(0, 1, 1.0, 10.0, 0.0, 0.0)]})
    (figure,) = figures(result)
    assert (figure.value, figure.target) == (1, target)


def test_the_document_keeps_the_text_around_the_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    once = replaced(text, "new")

    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replaced(once, "new") == once


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        replaced(f"{END} {BEGIN}", "new")


def test_every_row_has_a_cell_under_every_heading(result: Result) -> None:
    text = markdown(result, figures(result))

    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert "| the list, against plain | 30.00 x | ≥ 20 x | met |" in text
    assert "| the list | 300 | 2.0 | 10.0 |" in text
