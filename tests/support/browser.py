"""A real browser, for tests of pages."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@asynccontextmanager
async def run_browser() -> AsyncIterator[Browser]:
    """Run a Chromium; skip the test if none is installed."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no browser on this machine, none of {', '.join(_BROWSERS)}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def browser_page(browser: Browser, *, offline: bool) -> AsyncIterator[Page]:
    """Yield a page that shares no state with other pages of the browser."""
    context = await browser.new_context(offline=offline, viewport=None, no_viewport=True)
    yield await context.new_page()
    await context.close()
