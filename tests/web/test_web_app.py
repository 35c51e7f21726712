"""examples/web_app in a real browser, with the emulator misbehaving."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="browser test: there is no Chromium")
FILE = {"name": "invoice-0042.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 an invoice"}


class Application:
    """The example as a process that can be killed and started again at one address."""

    def __init__(self, server, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._environ = {
            **os.environ,
            **server.platform.environ,
            "KOGNITOS_AUTOMATION_ID": server.platform.automation.id,
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "WEB_APP_RECORDS": str(folder / "records"),
        }
        self.process = None

    def start(self):
        program = ROOT / "examples/web_app/server.py"
        self.process = subprocess.Popen([sys.executable, program], env=self._environ)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert time.monotonic() < deadline
                assert self.process.poll() is None
                time.sleep(0.05)
            else:
                return

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


@pytest.fixture
def server():
    with KognitosServer(schedule=Schedule.fixed(1.0)) as running:
        yield running


@pytest.fixture
def application(server, tmp_path):
    app = Application(server, tmp_path)
    app.start()
    yield app
    if app.process.poll() is None:
        app.end()


@contextmanager
def browser_page(url, **options):
    """A page that fails the test for an error in its script and for a request to anywhere else."""
    playwright = pytest.importorskip("playwright.sync_api")
    problems = []

    def seen(request):
        if not request.url.startswith(url):
            problems.append(request.url)

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(**options)
        page.on("request", seen)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        yield page
        browser.close()
    assert problems == []


def run_of_the_page(server):
    (run,) = server.platform.runs.values()
    return run


@in_a_browser
def test_a_dropped_invoice_becomes_a_completed_run(server, application):
    """Dropped as a person does it, and live: no reload, each state as it comes."""
    with browser_page(application.url) as page:
        page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.items.add(new File(["an invoice"], "dropped.pdf"));
                document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data}));
            }"""
        )
        page.wait_for_selector("#badge.executing")
        assert page.locator("#current-title").inner_text() == "dropped.pdf"
        page.wait_for_selector("#badge.completed")
        run = run_of_the_page(server)
        assert f"run={run.id}" in page.url
        assert page.locator("#status").inner_text() == "The run has completed."
        assert page.locator("#outputs dt").count() > 0
        page.wait_for_selector("#rows .badge.completed")
    (stored,) = server.platform.files.values()
    assert stored.content == b"an invoice"


@in_a_browser
def test_an_upload_that_is_refused_is_said(server, application):
    server.platform.misbehave("UploadFile", faults.answer(403, b'{"message": "no more room"}'))
    with browser_page(application.url) as page:
        page.set_input_files("#file", FILE)
        page.wait_for_selector("#badge.failed")
        assert "The file could not be uploaded" in page.locator("#status").inner_text()
        assert server.platform.runs == {}
        page.reload()  # the address leads to the same
        page.wait_for_selector("#badge.failed")
        assert page.locator("#current-title").inner_text() == FILE["name"]


@in_a_browser
def test_a_start_whose_answer_is_lost_is_found_again(server, application):
    """And not sent a second time."""
    server.platform.misbehave("InvokeAutomation", faults.reset(after_work=True))
    with browser_page(application.url) as page:
        page.set_input_files("#file", FILE)
        page.wait_for_selector("#badge.completed", timeout=40_000)
        assert f"run={run_of_the_page(server).id}" in page.url
    assert server.platform.count("InvokeAutomation") == 1


@in_a_browser
def test_a_run_that_needs_a_person_is_answered_on_the_page(server, application):
    """With the keyboard alone."""
    run = server.platform.add_run(state="awaiting_guidance")
    other = server.platform.add_run(state="awaiting_guidance")
    with browser_page(f"{application.url}?run={run.id}") as page:
        page.wait_for_selector("#badge.awaiting_guidance")
        page.wait_for_selector(f"#question-{other.id}")
        page.get_by_label("What should be used instead?").first.focus()
        page.keyboard.type("Use the second line")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#badge.completed")
        page.locator(f"#question-{other.id}").fill("129.50")
        page.locator(f"li[data-run='{other.id}'] button").click()
        page.wait_for_selector("#no-questions")


@in_a_browser
def test_the_server_is_restarted_while_a_run_goes_on(server, application):
    """Killed: the page says so, goes on by itself, and a reload finds the run too."""
    server._world.schedule = Schedule.manual()
    server.platform._world.schedule = Schedule.manual()
    with browser_page(application.url) as page:
        page.set_input_files("#file", FILE)
        page.wait_for_selector("#badge.pending")
        application.end(signal.SIGKILL)
        page.wait_for_selector("#connection", state="visible")
        server.platform.set_state(run_of_the_page(server).id, "executing")
        application.start()
        page.wait_for_selector("#badge.executing", timeout=40_000)
        assert page.locator("#connection").is_hidden()
        page.reload()
        page.wait_for_selector("#badge.executing")
        server.platform.set_state(run_of_the_page(server).id, "completed")
        page.wait_for_selector("#badge.completed")
    assert server.platform.count("InvokeAutomation") == 1
    assert application.end() in (0, -signal.SIGTERM)


@in_a_browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_the_page_fits_and_pages_through_the_history(server, application, scheme, width):
    """On a phone too; every control has a name."""
    for number in range(20):
        server.platform.add_run(state="completed" if number % 2 else "failed")
    with browser_page(application.url, color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        page.wait_for_selector("#rows tr")
        assert page.locator("#rows tr").count() == 8
        page.get_by_role("button", name="Show more").click()
        page.wait_for_function("document.querySelectorAll('#rows tr').length === 16")
        page.get_by_role("button", name="Show more").click()
        page.wait_for_function("document.querySelectorAll('#rows tr').length === 20")
        assert page.locator("#more").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 27)"
        assert dark == (scheme == "dark")
        assert page.get_by_label("Choose a file").count() == 1


def test_a_restart_looks_an_unfinished_start_up(server, application, tmp_path):
    """Killed between the start and its answer: the next process finds the run, and starts none."""
    invoice = uuid.uuid4()
    server.platform.misbehave("InvokeAutomation", faults.hang(after_work=True))
    with (
        httpx.Client(base_url=application.url) as browser,
        pytest.raises(httpx.ReadTimeout),
    ):
        browser.post(f"/api/invoices/{invoice}", files={"file": ("a.pdf", b"an invoice")}, timeout=2)
    application.end(signal.SIGKILL)
    assert len(server.platform.runs) == 1
    application.start()
    with httpx.Client(base_url=application.url) as browser:
        deadline = time.monotonic() + 30
        while (state := browser.get(f"/api/invoices/{invoice}").json())["step"] == "starting":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        again = browser.post(f"/api/invoices/{invoice}", files={"file": ("a.pdf", b"an invoice")})
        assert again.json() == state
    assert state["run_id"] == run_of_the_page(server).id
    assert server.platform.count("InvokeAutomation") == 1


def test_the_api_of_the_application(server, application):
    """Strict headers, no posts from other sites, refusals in words, a schema that names the run's members."""
    with httpx.Client(base_url=application.url) as browser:
        page = browser.get("/")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        run = server.platform.add_run(state="awaiting_guidance")
        path = f"/api/runs/{run.id}/answer"
        foreign = browser.post(path, json={"message": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        missing = browser.get("/api/runs/nowhere")
        assert (missing.status_code, "detail" in missing.json()) == (404, True)
        empty = browser.post(f"/api/invoices/{uuid.uuid4()}", files={"file": ("a.pdf", b"")})
        assert empty.status_code == 422
        schema = browser.get("/openapi.json").json()["paths"]["/api/runs/{run_id}"]["get"]["responses"]["200"]
        assert "create_time" in schema["content"]["application/json"]["schema"]["properties"]
