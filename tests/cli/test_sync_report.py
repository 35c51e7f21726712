"""`kognitos runs sync` and `runs report` as processes; the page in a real browser where there is one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.testing import KognitosServer, faults


@pytest.fixture
def server():
    with KognitosServer() as running:
        yield running


def history(server, count, status="Succeeded"):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        server.add_run(name=f"invoice {n}", status=status, created_at=start + timedelta(hours=n))
        for n in range(count)
    ]


def test_a_mirror_is_kept_by_one_command(command, server, tmp_path):
    """What is new and what changed, in words and as JSON."""
    into = str(tmp_path / "runs.sqlite")
    history(server, 120)
    going = history(server, 3, "Running")
    code, out, err = command.run("runs", "sync", "--into", into, "--api", "v2", **server.environ)
    assert (code, err) == (0, "")
    assert out.startswith("123 new, 0 changed, 0 missing;")
    server.set_status(going[0].id, "Failed")
    code, out, _ = command.run("runs", "sync", "--into", into, "--json", "--api", "v2", **server.environ)
    assert code == 0
    assert json.loads(out)["changed"] == 1
    with sqlite3.connect(into) as database:
        assert database.execute("SELECT count(*) FROM runs WHERE status = 'Failed'").fetchone() == (1,)
    database.close()


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        (["KOGNITOS_TOKEN"], ["--process"]),
        (["KOGNITOS_API_KEY"], ["--automation"]),
        (["KOGNITOS_API_KEY", "KOGNITOS_TOKEN"], ["--process", "--automation"]),
    ],
)
def test_the_option_of_the_other_api_is_refused_and_nothing_mirrored(
    command, server, tmp_path, keys, options
):
    """Without it the pass would cover all that the key can read."""
    into = tmp_path / "runs.sqlite"
    sources = {"--process": server.process.id, "--automation": server.platform.automation.id}
    unused = {"KOGNITOS_API_KEY", "KOGNITOS_TOKEN"} - set(keys)
    environ = {**server.environ, **dict.fromkeys(unused, "")}
    selected = [word for option in options for word in (option, sources[option])]
    code, out, err = command.run("runs", "sync", "--into", str(into), *selected, **environ)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "to which the key belongs" in err
    assert not into.exists()


def test_a_mirror_of_one_source_holds_no_other(command, server, tmp_path):
    """On both APIs; with both keys the option tells which."""
    other, second = server.add_process("Other"), server.platform.add_automation("second")
    for source in (server.process, other):
        server.add_run(name="one", status="Succeeded", process_id=source.id)
    for source in (server.platform.automation, second):
        server.platform.add_run(source.id, state="completed")
    for option, source in (("--process", other), ("--automation", second)):
        into = str(tmp_path / f"{option}.sqlite")
        code, out, err = command.run("runs", "sync", "--into", into, option, source.id, **server.environ)
        assert (code, err) == (0, "")
        assert out.startswith("1 new,")


def test_it_goes_on_every_so_often_until_it_is_interrupted(command, server, tmp_path):
    """Ctrl-C ends it with 130, and the mirror stays whole."""
    into = str(tmp_path / "runs.sqlite")
    history(server, 5)
    process = command.start(
        "runs", "sync", "--into", into, "--every", "1", "--json", "--api", "v2", **server.environ
    )
    assert json.loads(process.stdout.readline())["new"] == 5
    server.add_run(name="late")
    assert json.loads(process.stdout.readline())["new"] == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


def test_a_pass_that_fails_is_resumed_by_the_next(command, server, tmp_path):
    """An API that is down, and a mirror that is in use, are reported in one line each."""
    into = str(tmp_path / "runs.duckdb")
    history(server, 5)
    down = server.misbehave("*", faults.answer(503, b'{"message":"down"}'), times=None)
    options = ("--process", server.process.id, "--every", "1", "--json")
    process = command.start("runs", "sync", "--into", into, *options, **server.environ)
    line = process.stderr.readline()
    assert "503" in line
    assert line.endswith("; the next pass is in 1 s\n")
    down.cancel()
    assert json.loads(process.stdout.readline())["new"] == 5
    with open_duckdb(into):
        line = process.stderr.readline()
        assert "is in use" in line
        server.add_run(name="late")
    while not (new := json.loads(process.stdout.readline())["new"]):
        pass
    assert new == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


@contextmanager
def open_duckdb(path):
    """The mirror, held open between two passes."""
    duckdb = pytest.importorskip("duckdb")
    while True:
        try:
            database = duckdb.connect(path, read_only=True)
        except duckdb.IOException:  # a pass has it
            time.sleep(0.01)
        else:
            break
    with database:
        yield


@pytest.mark.parametrize("status", [400, 401])
def test_a_permanent_failure_ends_the_passes(command, server, tmp_path, status):
    """A refused key, wrong arguments, and a file of another program."""
    strange = tmp_path / "notes.txt"
    strange.write_text("not a database, but long enough to be read as the header of one")
    options = ("--process", server.process.id, "--every", "1")
    ended, _, err = command.run("runs", "sync", "--into", str(strange), *options, **server.environ)
    assert (ended, len(err.splitlines())) == (1, 1)
    server.misbehave("*", faults.answer(status, b'{"message":"no"}'), times=None)
    into = str(tmp_path / "runs.sqlite")
    ended, _, err = command.run("runs", "sync", "--into", into, *options, **server.environ)
    assert (ended, len(err.splitlines())) == (1, 1)


def test_a_file_that_is_no_mirror_is_refused_in_one_line(command, server, tmp_path):
    """And left as it was."""
    strange = tmp_path / "notes.txt"
    strange.write_text("not a database, but long enough to be read as the header of one")
    code, _, err = command.run("runs", "sync", "--into", str(strange), "--api", "v2", **server.environ)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "cannot be opened" in err
    assert strange.read_text().startswith("not a database")


def test_a_report_of_both_apis_as_tables_page_and_json(command, server, tmp_path):
    """The same figures everywhere."""
    into, page = str(tmp_path / "runs.sqlite"), tmp_path / "report.html"
    for number in range(7):
        server.platform.add_run(state="completed" if number < 5 else "failed")
    assert command.run("runs", "sync", "--into", into, "--api", "platform", **server.environ)[0] == 0
    code, out, _ = command.run("runs", "report", "--from", into)
    assert code == 0
    assert "7 runs: 71.4 % succeeded, 28.6 % failed" in out
    code, out, err = command.run("runs", "report", "--from", into, "--output", str(page), "--json")
    assert (code, json.loads(out)["total"]["failed"]) == (0, 2)
    assert "7 runs reported" in err
    text = page.read_text()
    assert "71.4 %" in text
    assert "<svg" in text
    assert "http" not in text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_report_whose_reader_is_gone_ends_with_141(command, server, tmp_path, options):
    """Without a word, as the other commands; with and without --json."""
    into = str(tmp_path / "runs.sqlite")
    history(server, 3)
    assert command.run("runs", "sync", "--into", into, "--api", "v2", **server.environ)[0] == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = command.start("runs", "report", "--from", into, *options, stdout=writing)
    finally:
        os.close(writing)
    assert process.wait(timeout=50) == 141
    assert process.stderr.read() == ""


def test_a_report_of_what_is_no_mirror_is_refused_and_changes_nothing(command, server, tmp_path):
    """An empty file and a folder can still become a mirror; a database of another program stays as it is."""
    empty, folder, strange = tmp_path / "empty.sqlite", tmp_path / "folder", tmp_path / "app.sqlite"
    empty.touch()
    folder.mkdir()
    database = sqlite3.connect(strange)
    database.execute("CREATE TABLE orders (a)")
    database.close()
    before = strange.read_bytes()
    for source in (empty, folder, strange):
        code, out, err = command.run("runs", "report", "--from", str(source))
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert f"{source} is not a mirror" in err
    assert empty.read_bytes() == b""
    assert not list(folder.iterdir())
    for into in (empty, folder):
        code, _, err = command.run("runs", "sync", "--into", str(into), "--api", "v2", **server.environ)
        assert (code, err) == (0, "")
    code, _, err = command.run("runs", "sync", "--into", str(strange), "--api", "v2", **server.environ)
    assert code == 1
    assert "it was not changed" in err
    assert strange.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"empty.sqlite", "folder", "app.sqlite"}


def test_a_report_during_a_pass(command, server, tmp_path):
    """SQLite shows what is stored so far; DuckDB is refused in one line that tells when to try again."""
    history(server, 250)
    for name in ("runs.sqlite", "runs.duckdb"):
        into, asked = str(tmp_path / name), server.count("list_runs")
        late = server.misbehave("list_runs", faults.delay(60), times=None, skip=1)
        process = command.start("runs", "sync", "--into", into, "--api", "v2", **server.environ)
        while server.count("list_runs") < asked + 2:
            assert process.poll() is None
            time.sleep(0.02)
        code, out, err = command.run("runs", "report", "--from", into, "--json")
        if name == "runs.sqlite":
            assert (code, json.loads(out)["total"]["runs"]) == (0, 100)
        else:
            assert (code, out, len(err.splitlines())) == (1, "", 1)
            assert "can be read only between the passes" in err
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        late.cancel()


def test_there_is_no_report_of_nothing(command, tmp_path):
    """A mirror that is not there is a wrong call."""
    code, _, err = command.run("runs", "report", "--from", str(tmp_path / "none.sqlite"))
    assert code == 2
    assert "no such mirror" in err


@pytest.mark.slow
def test_the_page_in_a_browser(command, server, tmp_path, browser):
    """It shows the figures, in light and dark, on a phone too, and asks for nothing over the network."""
    into, page_file = str(tmp_path / "runs.sqlite"), tmp_path / "report.html"
    history(server, 40)
    history(server, 2, "Failed")
    server.add_run(name="<script>alert(1)</script>", status="Exception")
    assert command.run("runs", "sync", "--into", into, "--api", "v2", **server.environ)[0] == 0
    assert command.run("runs", "report", "--from", into, "--output", str(page_file))[0] == 0
    asked: list[str] = []
    problems: list[str] = []
    for scheme, width in (("light", 1000), ("dark", 390)):
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(page_file.as_uri())
        assert page.locator("dd").first.inner_text() == "43"
        assert page.locator("svg").count() == 1
        assert page.get_by_text("<script>alert(1)</script>").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        page.close()
    assert {url.partition(":")[0] for url in asked} == {"file"}
    assert not problems


def test_an_empty_store_is_a_wrong_use(command):
    """Such as a variable that is not set: it would be a mirror in the current folder."""
    with KognitosServer() as server:
        code, _, err = command.run("runs", "sync", "--into", "", "--api", "v2", **server.environ)
    assert code == 2
    assert "store must be a path" in err
