"""The documentation page in a browser, directly and behind a gateway."""

from collections.abc import AsyncIterator, Collection, Mapping
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.payments.models import Payment
from tests.support.browser import browser_page, run_browser
from tests.support.factories import Factories

_TRIED_OUT = (
    "invoices_list",
    "invoices_count",
    "invoices_history_at_retrieve",
    "invoices_paid",
    "invoices_set_backend_id",
    "payments_proof_retrieve",
    "payments_destroy",
)
"""An operation of each method and kind of parameter, body and response."""
_LAST_PAYMENT = select(Payment.uuid).order_by(Payment.id.desc()).limit(1)
_PATIENCE = 60_000
"""Milliseconds until the page must show its operations, or a response."""
GATEWAY = "http://gateway.example/billing"


@pytest.fixture(scope="module")
async def browser(child_processes: None) -> AsyncIterator[Browser]:
    async with run_browser() as browser:
        yield browser


async def _behind_gateway(page: Page, api_url: str) -> None:
    """Forward requests below the gateway's path prefix to the server."""

    async def forward(route: Route) -> None:
        answer = await route.fetch(url=route.request.url.replace(GATEWAY, api_url))
        await route.fulfill(response=answer)

    await page.route(f"{GATEWAY}/**", forward)


def _report_problems(page: Page) -> list[str]:
    """Return a list that grows by each error of a script, failed request and refusal by policy."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    # The browser logs violations of the page's content security policy to the console.
    page.on("console", lambda message: problems.append(message.text))
    return problems


async def _operations(api_url: str) -> dict[str, str]:
    """Return the operations of the document: their places on the page, by their ids."""
    async with httpx.AsyncClient() as client:
        document = (await client.get(f"{api_url}/api/schema.json")).json()
    operations = (each for path in document["paths"].values() for each in path.values())
    return {
        each["operationId"]: f"operations-{each['tags'][0]}-{each['operationId']}"
        for each in operations
    }


async def _expect_operations(page: Page, places: Collection[str]) -> None:
    shown = page.locator(".opblock")
    await expect(shown).to_have_count(len(places), timeout=_PATIENCE)
    found = await shown.evaluate_all("all => all.map(each => each.id)")
    assert sorted(found) == sorted(places)


async def test_it_lists_every_operation_behind_a_gateway(api_url: str, browser: Browser) -> None:
    async with browser_page(browser, offline=False) as page:
        problems = _report_problems(page)
        await _behind_gateway(page, api_url)
        await page.goto(f"{GATEWAY}/api/docs")
        await _expect_operations(page, (await _operations(api_url)).values())
        assert not problems


async def _authorize(page: Page, header: str) -> None:
    await page.locator(".auth-wrapper .authorize").first.click()
    dialog = page.locator(".modal-ux-content")
    scheme = dialog.locator(".auth-container", has_text="tokenAuth")
    await scheme.locator("input").fill(header)
    await scheme.get_by_role("button", name="Apply credentials").click()
    await dialog.locator(".btn-done").first.click()


async def _try_out(operation: Locator, filled: Mapping[str, str]) -> tuple[int, str]:
    """Try out an operation. Return the status, and the URL and response shown."""
    await operation.locator(".opblock-summary").click()
    await expect(operation.get_by_text("Retry-After").first).to_be_visible()
    await operation.get_by_role("button", name="Try it out").click()
    for name, value in filled.items():
        row = operation.locator(f"tr[data-param-name='{name}']")
        if await row.count():
            await row.locator("input").fill(value)
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    await expect(answer).to_be_visible(timeout=_PATIENCE)
    status = await answer.locator(".response-col_status").inner_text()
    url = await operation.locator(".request-url pre").inner_text()
    shown = await answer.inner_text()
    await operation.locator(".opblock-summary-path").click()
    return int(status.split()[0]), f"{url}\n{shown}"


async def _show_only(page: Page, operations: Collection[str]) -> None:
    """Let the document have no other operations: the page renders all of them at each click."""

    async def shorten(route: Route) -> None:
        answer = await route.fetch()
        document = await answer.json()
        for path in document["paths"].values():
            for method in [key for key in path if path[key]["operationId"] not in operations]:
                del path[method]
        await route.fulfill(response=answer, json=document)

    await page.route("**/api/schema.json", shorten)


@pytest.mark.slow
async def test_operations_of_each_kind_can_be_tried_out(
    api_url: str, browser: Browser, make: Factories, connection: AsyncConnection
) -> None:
    """Authorize, open an operation, fill in only what identifies the record, execute."""
    staff = await make.staff()
    customer = await make.customer()
    profile = await make.profile(customer)
    places = await _operations(api_url)
    async with browser_page(browser, offline=False) as page, httpx.AsyncClient() as client:
        problems = _report_problems(page)
        await _show_only(page, _TRIED_OUT)
        await page.goto(f"{api_url}/api/docs")
        await _authorize(page, f"Token {staff.key}")
        for number, operation in enumerate(_TRIED_OUT):
            period = Period(2025, 1).shifted(number)
            invoice = await make.invoice(customer, period, state=InvoiceState.CREATED)
            await make.item(invoice)
            filled = {"uuid": str(invoice.uuid), "timestamp": "9999-12-31"}
            if "_history_" in operation or "_proof_" in operation:
                # These operations need a version, or a payment with a proof.
                url = f"{api_url}/api/invoices/{invoice.uuid}/paid/"
                paid = await client.post(
                    url,
                    headers=staff.headers,
                    data={"date": "2026-11-05"},
                    files={"proof": ("a.pdf", b"%PDF-1.7")},
                )
                paid.raise_for_status()
            if "_proof_" in operation:
                filled["uuid"] = str(await connection.scalar(_LAST_PAYMENT))
            if operation == "payments_destroy":
                filled["uuid"] = str((await make.payment(profile)).uuid)
            status, shown = await _try_out(page.locator(f"#{places[operation]}"), filled)
            assert status in (200, 204), (operation, shown)
            # The page adds no filter and no idempotency key of its own.
            url, _, _ = shown.partition("\n")
            assert urlsplit(url).query in ("", urlencode({"timestamp": filled["timestamp"]}))
        assert not problems
