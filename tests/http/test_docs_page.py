"""The interactive documentation in a real browser, directly and behind a gateway."""

import pytest
from playwright.async_api import Page, Route, expect

from tests.support.browser import browser_page
from tests.support.server import Server

OPERATIONS = (
    "GET",
    "HEAD",
    "GET",
    "HEAD",
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "POST",
    "POST",
    "GET",
    "GET",
    "GET",
)
GATEWAY = "http://gateway.example/billing"


async def _behind_gateway(page: Page, server: Server) -> None:
    """Answer what is asked of the gateway below its prefix as the server does."""

    async def forward(route: Route) -> None:
        answer = await route.fetch(url=route.request.url.replace(GATEWAY, server.url))
        await route.fulfill(response=answer)

    await page.route(f"{GATEWAY}/**", forward)


@pytest.mark.parametrize("gateway", [False, True])
async def test_it_lists_every_operation(server: Server, gateway: bool) -> None:
    async with browser_page(offline=False) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        # What the page's policy forbids is told there.
        page.on("console", lambda said: problems.append(said.text))
        base = server.url
        if gateway:
            await _behind_gateway(page, server)
            base = GATEWAY
        await page.goto(f"{base}/api/docs")
        methods = page.locator(".opblock-summary-method")
        await expect(methods).to_have_count(len(OPERATIONS))
        assert sorted(await methods.all_inner_texts()) == sorted(OPERATIONS)
        operation = page.locator("#operations-invoices-invoices_list")
        await operation.locator(".opblock-summary").click()
        await expect(operation.get_by_text("X-Result-Count").first).to_be_visible()
        assert not problems
