"""`kognitos runs bulk` with a file for each row: uploads, refusals, kills, and journals of early versions."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from contextlib import closing

import pytest

from kognitos_async.bulk.early_uploads import early_uploads_of
from kognitos_async.testing import KognitosServer, Schedule, faults
from kognitos_async.uploads.placeholders import replaced

REFUSED = {"v2": "EntityTooLarge", "platform": "413, A file holds at most 1000 bytes"}
MISSING = "cannot be read: No such file or directory"


class Job:
    """One bulk job of one of the APIs, and what the emulator has of it."""

    def __init__(self, api, command, server, folder):
        self.api = api
        self.server = server
        self.command = command
        self.path = folder / "rows.csv"
        self.journal = folder / "job.journal"
        self.output = folder / "out.jsonl"
        if api == "v2":
            source = ("--process", server.process.id)
            self.environ = server.environ
        else:
            source = ("--automation", server.platform.automation.id)
            self.environ = {k: v for k, v in server.environ.items() if k != "KOGNITOS_API_KEY"}
        self.arguments = (
            *("runs", "bulk", str(self.path), *source, "--journal", str(self.journal)),
            *("--output", str(self.output), "--absence-delay", "0.2"),
        )

    def write(self, files):
        """A row and a file for each name; None for a file that is not there."""
        self.path.write_text("name,file\n" + "".join(f"run {name},{name}.pdf\n" for name in files))
        for name, content in files.items():
            if content is not None:
                self.path.with_name(f"{name}.pdf").write_bytes(content)

    def start(self, *options):
        return self.command.start(*self.arguments, *options, **self.environ)

    def run(self, *options):
        """Exit code, errors, and the outcomes by name."""
        code, _, err = self.command.run(*self.arguments, *options, **self.environ)
        outcomes = [json.loads(line) for line in self.output.read_text().splitlines()] if code != 2 else []
        return code, err, {outcome["name"]: outcome for outcome in outcomes}

    def files_of_runs(self):
        """The content of the file of each run, and the id of the run."""
        if self.api == "v2":
            files = self.server.files
            return [(files[one].content, run.id) for run in self.server.runs.values() for one in run.file_ids]
        files = {file.name: file.content for file in self.server.platform.files.values()}
        runs = self.server.platform.runs.values()
        return [(files[remote], run.name) for run in runs for remote in _remotes(run.inputs)]

    def contents(self):
        """How often each content was given to a run."""
        return Counter(content for content, _ in self.files_of_runs())

    def decide(self, names, contents):
        """Say of each start in doubt what became of it, as somebody does who looks at the runs."""
        made = dict(self.files_of_runs())
        for name in names:
            run = made.get(contents[name.removeprefix("run ")])
            decision = ("--not-started",) if run is None else ("--run", run)
            code, _, err = self.command.run("journal", "resolve", str(self.journal), name, *decision)
            assert code == 0, err

    @property
    def uploads(self):
        """How many files were taken by the file store."""
        files = self.server.files if self.api == "v2" else self.server.platform.files
        return len(files)

    @property
    def runs(self):
        return len(self.server.runs if self.api == "v2" else self.server.platform.runs)


def _remotes(value):
    if isinstance(value, dict):
        for key, member in value.items():
            if key == "remote":
                yield member
            else:
                yield from _remotes(member)


@pytest.fixture
def job(command, tmp_path, api):
    with KognitosServer(schedule=Schedule.fixed(0.02), max_file_size=1000) as server:
        yield Job(api, command, server, tmp_path)


UPLOADS = {"create_file", "upload_file", "UploadFile"}
both_apis = pytest.mark.parametrize("api", ["v2", "platform"])


@both_apis
def test_a_refused_or_missing_file_is_the_outcome_of_its_row_and_is_made_up_for_later(job):
    """Reasons name the file; a dry run finds the missing one and starts nothing; the same command goes on."""
    job.write({"good": b"good", "large": b"x" * 2000, "gone": None, "twin": b"good"})
    code, _, err = job.command.run(*job.arguments, "--dry-run", **job.environ)
    assert (code, job.runs, job.uploads) == (2, 0, 0)
    assert f"gone.pdf {MISSING}" in err
    code, err, outcomes = job.run()
    assert code == 3, err
    assert {name for name, outcome in outcomes.items() if not outcome["error"]} == {"run good", "run twin"}
    assert f"gone.pdf {MISSING}" in outcomes["run gone"]["error"]
    assert REFUSED[job.api] in outcomes["run large"]["error"]
    assert err.splitlines()[-1] == "started 2, running 0, settled 2 of 4, failed 2"
    assert err.count("gone.pdf") == 1
    job.write({"good": b"good", "large": b"small", "gone": b"back", "twin": b"good"})
    code, err, outcomes = job.run()
    assert code == 0, err
    assert job.contents() == Counter({b"good": 2, b"small": 1, b"back": 1})
    assert [outcomes[f"run {name}"]["resumed"] for name in ("good", "large")] == [True, False]


@both_apis
def test_files_that_the_service_has_forgotten_are_uploaded_again_by_the_same_command(job):
    job.write({"good": b"good", "twin": b"good", "other": b"other"})
    start = "create_run" if job.api == "v2" else "InvokeAutomation"
    job.server.misbehave(start, faults.refused(400, "Not published"), times=None)
    code, err, _ = job.run()
    assert (code, job.uploads, job.runs) == (3, 3, 0), err
    job.server.behave()
    (job.server if job.api == "v2" else job.server.platform).expire_files()
    code, err, _ = job.run()
    assert (code, job.uploads) == (0, 3), err
    assert job.contents() == Counter({b"good": 2, b"other": 1})


@both_apis
def test_uploads_go_side_by_side_at_most_so_many(command, tmp_path, api):
    with KognitosServer(schedule=Schedule.fixed(0.0), latency=0.2) as server:
        job = Job(api, command, server, tmp_path)
        job.write({str(number): b"%d" % number for number in range(8)})
        most = 0
        process = job.start("--max-uploads", "3")
        while process.poll() is None:
            under_way = [seen for seen in list(server.log) if seen.operation in UPLOADS and not seen.finished]
            most = max(most, len(under_way))
            time.sleep(0.005)
        assert (process.wait(), job.runs, job.uploads) == (0, 8, 8)
        assert 2 <= most <= 3


@both_apis
def test_a_journal_with_uploads_beside_it_as_early_versions_left_it_goes_on(job):
    """Nothing is uploaded or started twice, and a line that was cut off counts as none."""
    files = {name: f"content of {name}".encode() for name in ("one", "two")}
    job.write(files)
    code, err, _ = job.run()
    assert code == 0, err
    as_early_versions(job.journal)
    job.write({**files, "new": b"new"})
    code, err, outcomes = job.run()
    assert code == 0, err
    assert (job.runs, len(outcomes)) == (3, 3)
    assert job.contents() == Counter([*files.values(), b"new"])
    assert job.uploads == 3
    assert not early_uploads_of(job.journal).exists()
    assert job.run()[0] == 0
    assert (job.runs, job.uploads) == (3, 3)


@pytest.mark.parametrize("api", ["v2"])
@pytest.mark.parametrize("content", ["{\n", "[1, 2]\n", '{"a": "b"}\n', '["no hash", "id"]\n', "\xff\n"])
def test_damaged_uploads_of_an_early_version_are_one_line(job, content):
    record = early_uploads_of(job.journal)
    record.write_bytes(content.encode("latin-1"))
    job.write({"a": b"a"})
    code, _, err = job.command.run(*job.arguments, **job.environ)
    assert code == 1
    assert f"kognitos: {record} is damaged: restore it from a backup" in err.splitlines()
    assert job.runs == 0
    assert record.exists()


def as_early_versions(journal):
    """Requests with ids in them, and the ids in a file beside the journal."""
    with closing(sqlite3.connect(journal)) as database, database:
        ids = dict(database.execute("SELECT mark, file_id FROM files"))
        for position, request in database.execute("SELECT position, request FROM runs").fetchall():
            database.execute(
                "UPDATE runs SET request = ?, content = NULL WHERE position = ?",
                (replaced(request, ids), position),
            )
        database.execute("DROP TABLE files")
    lines = []
    for mark, file_id in ids.items():
        _, _, content_hash, name = mark.split(":")
        lines.append(json.dumps([f"{name}|{content_hash}", file_id]))
    early_uploads_of(journal).write_text("".join(f"{line}\n" for line in lines) + '["cut o')


@both_apis
@pytest.mark.slow
def test_three_hundred_rows_killed_twice_with_three_refused_files(job):
    """297 runs and three reasons; then one command runs those that failed, and nothing else."""
    refused = {"17", "150", "299"}
    files = {str(number): b"%d" % number for number in range(300)}
    job.write(files | dict.fromkeys(refused, b"x" * 2000))
    for runs in (60, 160):
        process = job.start("--max-in-flight", "20")
        deadline = time.monotonic() + 60
        while job.runs < runs and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert runs <= job.runs < 297
    code, err, outcomes = job.run()
    assert code == 3, err
    assert max(job.contents().values()) == 1
    doubts = {
        name for name, outcome in outcomes.items() if "cannot be determined" in (outcome["error"] or "")
    }
    if job.api == "v2":
        assert not doubts
    # Nothing marks an invocation: somebody has to decide about some of those that a kill has cut off.
    job.decide(doubts, files)
    code, err, outcomes = job.run()
    assert code == 3, err
    assert (job.runs, len(outcomes)) == (297, 300)
    reasons = {name: outcome["error"] for name, outcome in outcomes.items() if outcome["error"]}
    assert reasons.keys() == {f"run {name}" for name in refused}
    assert all(REFUSED[job.api] in reason for reason in reasons.values())
    assert err.splitlines()[-1] == "started 297, running 0, settled 297 of 300, failed 3"
    uploads = job.uploads
    assert uploads <= 297 + 2 * 8  # those under way at a kill are made again
    job.write(files)
    code, err, outcomes = job.run("--retry-failed")
    assert code == 0, err
    assert job.contents() == Counter(files.values())
    assert (job.uploads, len(outcomes)) == (uploads + 3, 300)


@pytest.mark.slow
@pytest.mark.parametrize("api", ["v2"])
def test_three_hundred_files_take_a_sixth_of_one_after_another(command, tmp_path, api):
    """A form, a file and a start for each row, 0.2 s each."""
    with KognitosServer(schedule=Schedule.fixed(0.0), latency=0.2, capacity=None) as server:
        job = Job(api, command, server, tmp_path)
        job.write({str(number): b"%d" % number for number in range(300)})
        began = time.monotonic()
        code, err, _ = job.run("--max-in-flight", "150")
        assert code == 0, err
        assert time.monotonic() - began < 300 * 3 * 0.2 / 6
        assert (job.runs, job.uploads) == (300, 300)
