"""examples/web_app in a real browser, with the emulator misbehaving."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.fork_server import WEB, ForkServer

ROOT = Path(__file__).parents[2]
PROGRAM = str(ROOT / "examples/web_app/server.py")
PDF = {"name": "invoice-0042.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 an invoice"}
MARKUP = "<img src=x onerror=alert(1)>"
PATIENCE = 40  # seconds, of a machine under load


class Application:
    """The example as a process that can be killed and started again at one address."""

    def __init__(self, fork_server: ForkServer, server: KognitosServer, folder: Path, api: str) -> None:
        self._fork_server = fork_server
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._environ = {
            **os.environ,
            **server.environ,
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "WEB_APP_API": api,
            "WEB_APP_RECORDS": str(folder / "records"),
        }

    def start(self) -> None:
        self.process = self._fork_server.start(
            PROGRAM, env=self._environ, stdout=subprocess.DEVNULL, stderr=sys.__stderr__.fileno(), imports=WEB
        )
        wait_until(lambda: self._reached() or self.process.poll() is not None)
        assert self.process.poll() is None

    def _reached(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=PATIENCE)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def server():
    with KognitosServer(schedule=Schedule.manual()) as running:
        yield running


@pytest.fixture
def start(fork_server, server, tmp_path):
    """Starts the application on one of the APIs."""
    started = []

    def run(api="platform"):
        app = Application(fork_server, server, tmp_path, api)
        started.append(app)
        app.start()
        return app

    yield run
    for app in started:
        if app.process.poll() is None:
            app.end(signal.SIGKILL)


@pytest.fixture
def open_page(browser):
    """Opens pages, and fails the test for errors in their scripts and for requests to anywhere else."""
    problems, contexts = [], []

    def open_one(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on(
            "request", lambda asked: asked.url.startswith(url.partition("?")[0]) or problems.append(asked.url)
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda entry: "Security Policy" in entry.text and problems.append(entry.text))
        page.on("dialog", lambda dialog: problems.append(dialog.message) or dialog.dismiss())
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert problems == []


def badge(page, text):
    page.locator("#badge", has_text=text).wait_for()


def the_run(server):
    (run,) = server.platform.runs.values()
    return run


def test_a_dropped_invoice_becomes_a_completed_run(server, start, open_page):
    """Dropped as a person does it, and live: each state as it comes, without a reload."""
    page = open_page(start().url)
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["an invoice"], "dropped.pdf"));
            const dropped = new DragEvent("drop", {dataTransfer: data, bubbles: true});
            document.getElementById("drop").dispatchEvent(dropped);
        }"""
    )
    badge(page, "Pending")
    run = the_run(server)
    assert page.url.endswith(f"?run={run.id}")
    server.platform.set_state(run.id, "executing")
    badge(page, "Running")
    server.platform.set_state(run.id, "completed", outputs={"total": 129.5, MARKUP: MARKUP})
    badge(page, "Completed")
    assert page.locator("#current-title").inner_text() == "dropped.pdf"
    assert page.get_by_role("status").first.inner_text() == "The run has completed."
    assert page.locator("#outputs dt").all_inner_texts() == ["total", MARKUP]
    page.locator("#rows .badge", has_text="Completed").wait_for()
    (stored,) = server.platform.files.values()
    assert stored.content == b"an invoice"


def test_on_the_rest_api_v2(server, start, open_page):
    """The same page; what needs a person is said, and watched until it has ended."""
    page = open_page(start("v2").url)
    page.set_input_files("#file", {**PDF, "name": f"{MARKUP}.pdf"})
    badge(page, "Created")
    (run,) = server.runs.values()
    server.set_status(run.id, "Exception")
    badge(page, "Needs a person")
    page.locator("#question-list a").wait_for()
    assert page.locator("#answer").is_hidden()
    server.set_status(run.id, "Succeeded")
    badge(page, "Succeeded")
    assert page.locator("#current-title").inner_text() == f"{MARKUP}.pdf"
    page.locator("#rows a", has_text=MARKUP).wait_for()
    assert len(server.runs) == 1


def test_a_refused_upload_is_reported_and_tried_again(server, start, open_page):
    """The reason survives a reload; the second try is the same invoice."""
    server.misbehave("UploadFile", faults.refused(403, "no more space"))
    page = open_page(start().url)
    page.set_input_files("#file", PDF)
    badge(page, "Failed")
    status = page.locator("#status")
    assert "The file could not be stored" in status.inner_text()
    assert "no more space" in status.inner_text()
    again = open_page(page.url)  # the address leads there too, but has no file to send
    badge(again, "Failed")
    assert again.locator("#current-title").inner_text() == PDF["name"]
    assert again.locator("#again").is_hidden()
    page.get_by_role("button", name="Try again").click()
    badge(page, "Pending")
    assert len(server.platform.runs) == 1


@pytest.mark.slow  # a look-up begins 5 s after the attempt
@pytest.mark.parametrize("api", ["platform", "v2"])
def test_a_start_whose_answer_is_lost_is_found_again(server, start, open_page, api):
    """And not sent a second time."""
    operation = {"platform": "InvokeAutomation", "v2": "create_run"}[api]
    server.misbehave(operation, faults.reset(after_work=True))
    page = open_page(start(api).url)
    page.set_input_files("#file", PDF)
    page.locator("#badge.working").wait_for()
    (run,) = {"platform": server.platform.runs, "v2": server.runs}[api].values()
    assert page.url.endswith(f"?run={run.id}")
    assert server.count(operation) == 1


def test_a_run_that_needs_a_person_is_answered_on_the_page(server, start, open_page):
    """With the keyboard alone; what is being written to another run is not lost meanwhile."""
    run = server.platform.add_run(schedule=Schedule.fixed(0, "awaiting_guidance"))
    other = server.platform.add_run(schedule=Schedule.fixed(0, "awaiting_guidance"))
    page = open_page(f"{start().url}?run={run.id}")
    badge(page, "Needs a person")
    page.locator(f"#question-{other.id}").fill("129.50")
    page.locator("#answer-text").focus()
    page.keyboard.type("Use the second line")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for(state="hidden")
    badge(page, "Completed")
    assert page.locator(f"#question-{other.id}").input_value() == "129.50"
    page.locator(f"li[data-run='{other.id}'] button").click()
    page.locator("#no-questions").wait_for()
    assert server.count("CreateEvent", status=200) == 2


@pytest.mark.slow
def test_the_server_is_killed_while_a_run_goes_on(server, start, open_page):
    """The page says so, goes on by itself when there is a server again, and a reload finds the run too."""
    application = start()
    page = open_page(application.url)
    page.set_input_files("#file", PDF)
    badge(page, "Pending")
    application.end(signal.SIGKILL)
    page.locator("#connection").wait_for()
    run = the_run(server)
    server.platform.set_state(run.id, "executing")
    application.start()
    badge(page, "Running")
    page.locator("#connection").wait_for(state="hidden")
    page.reload()
    badge(page, "Running")
    server.platform.set_state(run.id, "completed")
    badge(page, "Completed")
    assert server.count("InvokeAutomation") == 1
    assert application.end() in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_the_server_is_killed_during_the_upload(server, start, open_page):
    """The file goes out again under the same id once there is a server, on the word of the person."""
    application = start()
    hanging = server.misbehave("UploadFile", faults.hang())
    page = open_page(application.url)
    page.set_input_files("#file", PDF)
    wait_until(lambda: hanging.hits)
    application.end(signal.SIGKILL)
    application.start()
    badge(page, "Failed")
    assert "restarted during the upload" in page.locator("#status").inner_text()
    page.get_by_role("button", name="Try again").click()
    badge(page, "Pending")
    assert len(server.platform.runs) == 1


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 360)])
def test_the_page_fits_and_pages_through_the_history(server, start, open_page, scheme, width):
    """On a phone too, with names that have no blanks; each control has a name."""
    for number in range(20):
        server.platform.add_run(
            state="completed" if number % 2 else "failed",
            inputs={"file name": f"{'invoice' * 12}-{number}.pdf"},
        )
    page = open_page(start().url, color_scheme=scheme, viewport={"width": width, "height": 800})
    for count in (8, 16, 20):
        page.locator(f"#rows tr:nth-child({count}):last-child").wait_for()
        if count < 20:
            page.get_by_role("button", name="Show more").click()
    page.locator("#more").wait_for(state="hidden")
    page.locator("#rows a").first.click()
    badge(page, "Completed")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 27)"
    assert dark == (scheme == "dark")
    assert page.get_by_label("Choose a file").count() == 1


@pytest.mark.slow  # a look-up begins 5 s after the restart
@pytest.mark.parametrize("api", ["platform", "v2"])
def test_a_restart_looks_an_unfinished_start_up(server, start, api):
    """Killed between the start and its answer: the next process finds the run, and starts none."""
    operation = {"platform": "InvokeAutomation", "v2": "create_run"}[api]
    runs = {"platform": server.platform, "v2": server}[api]
    invoice = uuid.uuid4()
    server.misbehave(operation, faults.hang(after_work=True))
    application = start(api)
    with ThreadPoolExecutor() as pool, httpx.Client(base_url=application.url, timeout=PATIENCE) as browser:
        lost = pool.submit(post, browser, invoice)
        wait_until(lambda: runs.runs)
        application.end(signal.SIGKILL)
        assert isinstance(lost.exception(), httpx.TransportError)
        application.start()
        assert browser.get(f"/api/invoices/{invoice}").json()["step"] == "starting"
        found = post(browser, invoice).json()  # joins the look-up that is under way
    assert [found["run_id"]] == list(runs.runs)
    assert server.count(operation) == 1


def post(browser, invoice, content=b"an invoice", name="a.pdf"):
    return browser.post(f"/api/invoices/{invoice}", files={"file": (name, content)})


def test_an_invoice_posted_twice_is_one_run(server, start):
    """At the same time and afterwards; another id is another invoice."""
    invoice = uuid.uuid4()
    server.misbehave("InvokeAutomation", faults.delay(0.3))
    with (
        ThreadPoolExecutor() as pool,
        httpx.Client(base_url=start().url, timeout=PATIENCE) as browser,
    ):
        answers = [pool.submit(post, browser, invoice) for _ in range(5)]
        states = [answer.result().json() for answer in answers]
        states.append(post(browser, invoice).json())
        assert {state["run_id"] for state in states} == {the_run(server).id}
        assert len(server.platform.files) == 1
        assert post(browser, uuid.uuid4()).json()["run_id"] not in (None, states[0]["run_id"])


def test_what_the_server_refuses(server, start):
    """Posts from other sites, other hosts, large and empty files; and every answer has strict headers."""
    run = server.platform.add_run(schedule=Schedule.fixed(0, "awaiting_guidance"))
    reply = f"/api/runs/{run.id}/answer"
    with httpx.Client(base_url=start().url, timeout=PATIENCE) as browser:
        policy = browser.get("/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        refused = {
            403: browser.post(reply, json={"message": "x"}, headers={"Sec-Fetch-Site": "cross-site"}),
            400: browser.get("/", headers={"Host": "elsewhere.example"}),
            404: browser.get(f"/api/invoices/{uuid.uuid4()}"),
            411: browser.post(reply, content=iter([b"{}"])),
            413: post(browser, uuid.uuid4(), bytes(50_020_000)),
            422: post(browser, uuid.uuid4(), b""),
        }
        assert {code: answer.status_code for code, answer in refused.items()} == {
            code: code for code in refused
        }
        assert refused[413].headers["Content-Security-Policy"] == policy
        events = browser.get("/api/runs/nowhere/events").text
        assert "event: problem" in events
        schema = browser.get("/openapi.json").json()
        assert "sentence" in schema["components"]["schemas"]["RunCard"]["properties"]
    assert (len(server.platform.runs), server.count("CreateEvent")) == (1, 0)


def test_the_limit_on_the_page_is_the_server_s(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples/web_app"))
    import server  # noqa: PLC0415 - the example, a program

    assert f'data-largest="{server.LARGEST_FILE}"' in (server.STATIC / "index.html").read_text()


def test_an_unknown_api_is_reported_at_once(fork_server, tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "WEB_APP_API": "v3", "PORT": "0"}
    ran = fork_server.run(PROGRAM, env=environ, cwd=tmp_path, timeout=PATIENCE, imports=WEB)
    assert ran.returncode != 0
    assert "WEB_APP_API must be platform or v2, got 'v3'" in ran.stderr
