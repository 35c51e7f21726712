"""Chromium for the tests of pages: one for each module and worker, and why it is missing where it is."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "there is no Chromium; apt-get install chromium"
if PROGRAM and importlib.util.find_spec("playwright") is None:
    MISSING, PROGRAM = "there is no Playwright; pip install playwright", None
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A browser for synchronous tests: while it is open, no event loop can run in this thread.

    So its scope is a module, all of whose tests are synchronous.
    """
    if PROGRAM is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is no browser, not needed

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield opened
        opened.close()


def skipped_lines(skipped: Sequence[pytest.TestReport]) -> list[str]:
    """What the end of a test run says of tests that were left out for want of a browser."""
    count = sum(MISSING in str(report.longrepr) for report in skipped)
    return [f"{count} browser tests were skipped: {MISSING}"] if count else []
