"""Headless Chromium that reaches loopback and nothing else, driven by Playwright. Knows no page."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from playwright.async_api import BrowserContext, Page, Route, async_playwright

from bridge.demo.private import LOOPBACK

SIZE = {"width": 1100, "height": 720}
PATIENCE = 20.0  # seconds; generous, since two cores may be busy with other tests

# No update, no sync, no look-ups at Google's; as root Chromium refuses its own sandbox.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {LOOPBACK}",
)


@asynccontextmanager
async def browser() -> AsyncIterator[BrowserContext]:
    """A window for one person, with a profile of its own that is gone afterwards."""
    program = shutil.which("chromium")
    arguments = [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            context = await chromium.new_context(viewport=SIZE, locale="en-GB")
            context.set_default_timeout(PATIENCE * 1000)
            await context.route(lambda url: urlsplit(url).hostname != LOOPBACK, _refuse)
            yield context
        finally:
            await chromium.close()


async def _refuse(route: Route) -> None:
    await route.abort()


@asynccontextmanager
async def served(page: Path, folder: Path) -> AsyncIterator[str]:
    """A page and the files beside it, over HTTP on loopback. The value is the page's URL."""
    app = web.Application()

    async def the_page(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(page)

    app.router.add_get("/", the_page)
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def picture(page: Page, path: Path) -> None:
    """A screenshot, once nothing moves any more."""
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await page.screenshot(path=path, animations="disabled", caret="hide")
