"""A document in a browser: on A4, on a wide and on a narrow screen."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.documents.test_html_page import page_of
from tests.support.browser import browser_page, run_browser
from tests.support.documents import make_line

A4 = {"width": 794, "height": 1123}
"""In CSS pixels."""


@pytest.fixture(scope="module")
async def browser(child_processes: None) -> AsyncIterator[Browser]:
    async with run_browser() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a Chromium that may not reach anything."""
    async with browser_page(browser, offline=True) as page:
        yield page


def _short() -> str:
    return page_of(make_line(project_name="Climate", quantity=Decimal("0.5")))


def _long(items: int, unit: str = "GB-hours") -> str:
    lines = [
        make_line(
            number,
            project_name=f"Project {number * 3 // items}",
            name=f"Virtual machine / worker-{number:03} / of-a-name-without-any-space"
            + "-that-goes-on" * (number % 7),
            quantity=Decimal("0.5483870968"),
            unit_price=Decimal("12345.1234567891"),
            measured_unit=unit,
            price=Decimal("-1234567.89") if number % 5 == 0 else Decimal("6769.25"),
            credit=number % 5 == 0,
        )
        for number in range(items)
    ]
    return page_of(*lines)


async def _sideways(page: Page) -> int:
    """Return by how many pixels the page is wider than it can show."""
    overflow: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return overflow


async def _print(page: Page, path: Path) -> bytes:
    return await page.pdf(path=path, prefer_css_page_size=True)


def _sheets(pdftotext: str, path: Path) -> list[str]:
    """Return the text of each sheet."""
    command = [pdftotext, "-layout", str(path), "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return text.rstrip("\f").split("\f")


async def test_a_short_invoice_fits_one_a4_page(page: Page, tmp_path: Path) -> None:
    await page.set_content(_short())
    pdf = await _print(page, tmp_path / "invoice.pdf")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert [float(side) for side in box] == pytest.approx([595.3, 841.9], abs=1)


async def test_nothing_overflows_the_page_or_the_screen(page: Page) -> None:
    await page.set_content(_long(60))
    # On paper, the margins of 16 mm a side are gone from what the page has.
    await page.set_viewport_size({"width": A4["width"] - 121, "height": A4["height"]})
    await page.emulate_media(media="print")
    assert await _sideways(page) <= 0
    await page.emulate_media(media="screen")
    for width in (1400, A4["width"], 390):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await _sideways(page) <= 0


@pytest.mark.parametrize("unit", ["million requests", "percents from half a month"])
async def test_the_words_of_a_unit_are_not_broken(page: Page, unit: str) -> None:
    await page.set_content(_long(1, unit))
    longest = await page.evaluate(_WIDTH_OF_LONGEST_WORD)
    assert longest["word"] <= longest["cell"] + 1, longest


_WIDTH_OF_LONGEST_WORD = """() => {
    const cell = document.querySelector("td.unit");
    const style = getComputedStyle(cell);
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.font = style.font;
    return {
        word: Math.max(...cell.textContent.split(" ").map(w => canvas.measureText(w).width)),
        cell: cell.clientWidth - parseFloat(style.paddingLeft),
    };
}"""


async def test_the_table_header_repeats_on_every_page(page: Page, tmp_path: Path) -> None:
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("there is no pdftotext to read the printed sheets with")
    await page.set_content(_long(100))
    path = tmp_path / "invoice.pdf"
    await _print(page, path)
    sheets = _sheets(pdftotext, path)
    assert len(sheets) > 3
    for number, sheet in enumerate(sheets, start=1):
        if "worker-" in sheet:
            assert re.search(r"Description +Quantity +Unit +Unit price +Price +Tax +Total", sheet)
        assert re.search(rf"Invoice 100001 +{number} / {len(sheets)}", sheet)
    # A project's heading is never the last line of a sheet, nor its sum the first one.
    for sheet in sheets:
        lines = [line.strip() for line in sheet.splitlines() if line.strip()]
        assert not re.fullmatch(r"Project \d", lines[-2])
        assert "without tax" not in lines[1]


async def test_the_document_loads_no_external_resources(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.set_content(_short())
    assert asked == []
    assert complaints == []
