"""Documents of many lines: tags, summing up, size."""

import io
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from pypdf import PdfReader

from app.documents.document import DocumentLine
from app.documents.pdf.rendering import make_pdf, make_pdf_with_e_invoice
from app.documents.printed_lines import MAX_SUMMARY_LINES, LineSummary
from app.documents.texts import choose_texts
from tests.documents.pdf.examples import document, line, lines
from tests.documents.pdf.test_pdf import text_of

ENGLISH = choose_texts("en", "en")


def test_lines_are_listed_and_tagged_up_to_500() -> None:
    few, many = lines(500), lines(501)
    pdfs = [make_pdf(document(items), items, None) for items in (few, many)]
    roots = [PdfReader(io.BytesIO(pdf)).root_object for pdf in pdfs]
    assert ["/StructTreeRoot" in root for root in roots] == [True, False]
    text = text_of(pdfs[1])
    assert all(f"Virtual machine {number} " in text for number in (0, 250, 500))
    assert len(pdfs[1]) < len(pdfs[0]) / 3


def test_more_than_2000_lines_are_summed_up() -> None:
    items = [*lines(2000), line(2000, credit=True, name="Outage", price=Decimal("-5.00"))]
    pdf = make_pdf(document(items), items, None)
    text = text_of(pdf)
    assert "This document has 2,001 items, too many to list here." in text
    assert "Virtual machines 400 3,720.00" in text
    assert "Outage Compensation 1 -5.00" in text
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 2


def test_a_summary_has_a_bounded_number_of_lines() -> None:
    items = [
        *(line(number, offering_name=f"Offering {number:05}") for number in range(2500)),
        line(1, name="Outage", credit=True, project_name="Zoo", price=Decimal("-5.00")),
        line(2, price=Decimal(0)),
    ]
    summary = LineSummary(document(items), ENGLISH)
    summary.add(items)
    printed = summary.lines()
    assert len(printed) == MAX_SUMMARY_LINES + 2
    assert [(each.name, each.items, each.price) for each in printed[-2:]] == [
        ("Services", 1500, Decimal("13950.00")),
        ("Compensations", 1, Decimal("-5.00")),
    ]
    assert sum(each.price for each in printed) == document(items).net


def test_a_summary_is_the_same_in_whichever_order_lines_are_read() -> None:
    items = [line(number, offering_name=f"Offering {number % 3000:05}") for number in range(4000)]
    summaries = [LineSummary(document(items), ENGLISH) for _ in range(3)]
    summaries[0].add(items)
    summaries[1].add(reversed(items))
    for start in range(0, len(items), 100):
        summaries[2].add(items[start : start + 100])
    first, *others = [summary.lines() for summary in summaries]
    assert others == [first, first]
    assert [each.items for each in first] == 1000 * [2] + [2000]


def test_a_summary_takes_the_same_memory_for_many_times_the_lines() -> None:
    def read(count: int) -> Iterator[Sequence[DocumentLine]]:
        for start in range(0, count, 100):
            numbers = range(start, start + 100)
            yield [replace(one, offering_name=f"{number:09}") for number in numbers]

    one = line()
    peaks = []
    for count in (3_000, 15_000):
        tracemalloc.start()
        summary = LineSummary(document([one]), ENGLISH)
        for batch in read(count):
            summary.add(batch)
        assert sum(each.items for each in summary.lines()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Other threads of the process are counted, too, so the limit leaves room for them.
    assert peaks[1] < peaks[0] * 1.5
    assert peaks[1] < 2 << 20


def test_lines_without_project_come_last_and_resources_tell_lines_apart() -> None:
    items = [
        line(1, name="Disk", project_name=None),
        line(2, name="Disk", project_name="B"),
        line(3, name="Disk", project_name="B"),
        line(4, name="Disk", project_name="A"),
    ]
    text = text_of(make_pdf(document(items), items, None))
    assert text.index(" A ") < text.index(" B ") < text.index("Other items")
    assert "vm-2" in text
    assert "vm-3" in text
    assert "vm-4" not in text


def test_an_e_invoice_of_more_than_5000_lines_is_not_attached() -> None:
    items = lines(5001)
    pdf = make_pdf_with_e_invoice(document(items), items)
    assert PdfReader(io.BytesIO(pdf)).attachments == {}
    assert len(make_pdf_with_e_invoice(document(items[:5000]), items[:5000])) > len(pdf) + 50_000
