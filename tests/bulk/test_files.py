"""Files as part of requests: uploaded side by side, each once, by content and name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from kognitos_async import FileSource, InvokeRequest, RunOutcome, RunRequest, UploadError
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.fork_server import shared
from tests.support import FAST, eventually


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def written(folder, *names):
    for name in names:
        (folder / name).write_text(f"content of {name}")
    return [folder / name for name in names]


def requests_of(server, paths):
    return [RunRequest(process_id=server.process.id, name=f"run {path.name}", files=[path]) for path in paths]


async def outcomes_of(client, requests, journal=None, **options):
    async with client.run_many(requests, journal=journal, absence_delay=0.05, **options) as outcomes:
        return {outcome.request.name: outcome async for outcome in outcomes}


def contents(server, name):
    [run] = server.runs_named(name)
    return [server.files[file_id].content.decode() for file_id in run.file_ids]


@pytest.mark.parametrize("journaled", [True, False])
async def test_files_are_uploaded_before_their_runs_start(folder, tmp_path, journaled):
    """In their order, after the ids given; paths, sources and bytes."""
    a, b = written(folder, "a.txt", "b.txt")
    async with KognitosServer() as server, server.client(**FAST) as client:
        known = server.add_file("known.txt", b"known")
        request = RunRequest(
            process_id=server.process.id,
            name="one",
            file_ids=[known.id],
            files=[str(b), FileSource(a, "renamed.txt"), FileSource(b"in memory", "c.txt")],
        )
        found = await outcomes_of(client, [request], tmp_path / "journal" if journaled else None)
        assert found["one"].error is None
        assert contents(server, "one") == ["known", "content of b.txt", "content of a.txt", "in memory"]
        [run] = server.runs_named("one")
        assert [server.files[file_id].file_name for file_id in run.file_ids[1:]] == [
            "b.txt",
            "renamed.txt",
            "c.txt",
        ]


async def test_the_same_file_is_uploaded_once_a_job(folder, tmp_path):
    """Whoever names it, and from wherever."""
    [path] = written(folder, "same.txt")
    (folder / "other").mkdir()
    twin = folder / "other" / "same.txt"
    twin.write_bytes(path.read_bytes())
    async with KognitosServer() as server, server.client(**FAST) as client:
        requests = [
            RunRequest(process_id=server.process.id, name=f"n{n}", files=[(path, twin)[n % 2]])
            for n in range(20)
        ]
        found = await outcomes_of(client, requests, tmp_path / "journal")
        assert all(outcome.error is None for outcome in found.values())
        assert server.count("upload_file") == 1


async def test_a_resume_uploads_nothing_twice(folder, tmp_path):
    """Touched, moved to another folder, or deleted when its run is done: it is the same request.

    An upload that leaving the job has cut short is not on record.
    """
    paths = written(folder, *(f"{n}.txt" for n in range(12)))
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server, server.client(**FAST) as client:
        seen = 0
        async with client.run_many(
            requests_of(server, paths), journal=tmp_path / "journal", max_in_flight=3
        ) as outcomes:
            async for _ in outcomes:
                seen += 1
                if seen == 5:
                    break
        with contextlib.closing(sqlite3.connect(tmp_path / "journal")) as database:
            [recorded] = database.execute("SELECT count(*) FROM files").fetchone()
        assert recorded >= seen
        uploaded = server.count("upload_file", status=204)
        moved = tmp_path / "moved"
        folder.rename(moved)
        paths = [moved / path.name for path in paths]
        for path in paths:
            os.utime(path, (1, 1))
        done = [run.name for run in server.runs.values() if run.status == "Succeeded"]
        (moved / done[0].removeprefix("run ")).unlink()
        found = await outcomes_of(client, requests_of(server, paths), tmp_path / "journal")
        assert {name: outcome.error for name, outcome in found.items()} == dict.fromkeys(found)
        assert server.duplicates() == {}
        assert server.count("upload_file", status=204) == uploaded + len(paths) - recorded
        for path in paths:
            assert contents(server, f"run {path.name}") == [f"content of {path.name}"]


async def test_a_file_that_is_missing_or_refused_is_the_outcome_of_its_requests_alone(folder, tmp_path):
    """With a reason that names it; once it is there, the same call starts the rest."""
    good, bad = written(folder, "good.txt", "bad.txt")
    missing = folder / "missing.txt"
    async with KognitosServer(max_file_size=1000) as server, server.client(**FAST) as client:
        bad.write_bytes(b"x" * 2000)
        requests = requests_of(server, [good, missing, bad])
        found = await outcomes_of(client, requests, tmp_path / "journal")
        assert found["run good.txt"].error is None
        assert isinstance(found["run missing.txt"].error, UploadError)
        assert "missing.txt cannot be read: No such file" in str(found["run missing.txt"].error)
        assert found["run bad.txt"].error.code == "EntityTooLarge"
        assert [run.name for run in server.runs.values()] == ["run good.txt"]
        written(folder, "missing.txt", "bad.txt")
        found = await outcomes_of(client, requests, tmp_path / "journal")
        assert all(outcome.error is None for outcome in found.values())
        assert len(server.runs) == 3


async def test_a_changed_file_makes_another_request(folder, tmp_path):
    """Of a request that has its run; one that never started is sent as it is now."""
    [path] = written(folder, "a.txt")
    async with KognitosServer() as server, server.client(**FAST) as client:
        await outcomes_of(client, requests_of(server, [path]), tmp_path / "journal")
        path.write_text("something else")
        found = await outcomes_of(client, requests_of(server, [path]), tmp_path / "journal")
        assert "holds a different request" in str(found["run a.txt"].error)
        assert len(server.runs) == 1


class WrittenAnew(FileSource, frozen=True):
    """A file that another program changes as soon as its content was hashed."""

    async def content_hash(self):
        found = await super().content_hash()
        Path(self.source).write_bytes(b"another invoice " * 10_000)  # noqa: ASYNC240 - on purpose at once
        return found


@pytest.mark.parametrize("content", [b"an invoice", b"", b"an invoice " * 10_000])
async def test_a_file_that_changes_before_its_upload_is_not_sent(folder, tmp_path, content):
    """Another request with the content that was recorded must not get the other one."""
    changing, steady = folder / "a.txt", folder / "b.txt"
    changing.write_bytes(content)
    steady.write_bytes(content)
    async with KognitosServer() as server, server.client(**FAST) as client:
        files = {"one": WrittenAnew(changing, "invoice.txt"), "two": FileSource(steady, "invoice.txt")}
        for name, file in files.items():
            request = RunRequest(process_id=server.process.id, name=name, files=[file])
            found = await outcomes_of(client, [request], tmp_path / "journal")
            assert (found[name].error is None) is (name == "two"), found[name].error
        assert not server.runs_named("one")
        assert contents(server, "two") == [content.decode()]
        assert [file.content for file in server.files.values()] == [content]


async def test_uploads_go_side_by_side_and_ahead_of_the_starts(folder):
    """At most `max_uploads` at a time, and while every slot of the job is taken."""
    paths = written(folder, *(f"{n}.txt" for n in range(30)))
    async with KognitosServer(schedule=Schedule.fixed(3600)) as server, server.client(**FAST) as client:
        requests = requests_of(server, paths)
        async with client.run_many(requests, max_in_flight=2, max_uploads=4) as outcomes:
            await eventually(lambda: server.count("create_run") == 2 and server.count("upload_file") == 6)
            await asyncio.sleep(0.1)
            assert server.count("upload_file") == 6
            del outcomes


async def test_many_files_are_uploaded_at_once(folder):
    """As many as `max_uploads` says, so that they take a fraction of the time of one after another."""
    paths = written(folder, *(f"{n}.txt" for n in range(40)))
    slow = KognitosServer(latency=0.1, schedule=Schedule.fixed(0.0), capacity=None)
    most = 0
    async with slow as server, server.client(poll=FAST["poll"]) as client:
        uploads = {"create_file", "upload_file"}
        working = asyncio.create_task(outcomes_of(client, requests_of(server, paths)))
        while not working.done():
            most = max(most, sum(not seen.finished and seen.operation in uploads for seen in server.log))
            await asyncio.sleep(0.01)
        found = await working
        assert all(outcome.error is None for outcome in found.values())
        assert most == 8


async def test_a_lost_answer_of_a_start_with_files_is_looked_up(folder, tmp_path):
    """The files are not uploaded again."""
    [path] = written(folder, "a.txt")
    async with KognitosServer() as server, server.client(**FAST) as client:
        server.misbehave("create_run", faults.reset(after_work=True))
        found = await outcomes_of(client, requests_of(server, [path]), tmp_path / "journal")
        assert found["run a.txt"].error is None
        assert (len(server.runs), server.count("upload_file")) == (1, 1)


async def test_inputs_of_the_platform_hold_files(folder, tmp_path):
    """Uploaded first and replaced by references, in lists and dicts too; each once."""
    a, b = written(folder, "a.txt", "b.txt")
    async with KognitosServer() as server, server.platform_client(**FAST) as client:
        automation = server.platform.automation.name
        requests = [
            InvokeRequest(
                automation=automation,
                name=f"n{n}",
                inputs={"number": n, "invoice": FileSource(a), "all": (FileSource(a), FileSource(b))},
            )
            for n in range(3)
        ]
        found = await outcomes_of(client, requests, tmp_path / "journal")
        assert {outcome.error for outcome in found.values()} == {None}
        names = Counter(file.filename for file in server.platform.files.values())
        assert names == {"a.txt": 1, "b.txt": 1}
        again = await outcomes_of(client, requests, tmp_path / "journal")
        assert {outcome.error for outcome in again.values()} == {None}
        assert len(server.platform.runs) == 3
        run = await client.run_and_wait(automation, {"invoice": FileSource(a)}, timeout=10)
        run = await client.runs.get(run)
        assert run.user_inputs["invoice"].remote is not None


async def test_run_and_wait_and_start_once_upload_files(folder):
    """The ids come after those given."""
    a, b = written(folder, "a.txt", "b.txt")
    async with KognitosServer() as server, server.client(**FAST) as client:
        await client.run_and_wait(server.process.id, name="waited", files=[a, FileSource(b)], timeout=10)
        assert contents(server, "waited") == ["content of a.txt", "content of b.txt"]
        await client.runs.start_once(RunRequest(process_id=server.process.id, name="once", files=[b]))
        assert contents(server, "once") == ["content of b.txt"]
        with pytest.raises(TypeError, match="files must be a sequence of paths or FileSource, got str"):
            await client.run_and_wait(server.process.id, name="x", files="a.txt")
        with pytest.raises(TypeError, match="got an item of type int"):
            await client.runs.start_once(RunRequest(process_id=server.process.id, name="x", files=[1]))
        with pytest.raises(FileNotFoundError):
            await client.run_and_wait(server.process.id, name="x", files=[folder / "none"])
        assert not server.runs_named("x")


KILLED = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from kognitos_async import KognitosClient, PollPolicy, RunRequest

async def main():
    paths = sorted(Path(sys.argv[1]).iterdir())
    process_id = os.environ["KOGNITOS_PROCESS_ID"]
    requests = [RunRequest(process_id=process_id, name=p.name, files=[p]) for p in paths]
    threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()
    async with (
        KognitosClient(poll=PollPolicy(initial=0.02, maximum=0.05)) as client,
        client.run_many(requests, journal=sys.argv[2], max_in_flight=4, absence_delay=0.1) as outcomes,
    ):
        async for outcome in outcomes:
            pass

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_job_with_files_survives_kill_9(folder, tmp_path):
    """At most the uploads under way at the kill are made again; no run twice, none without its file."""
    paths = written(folder, *(f"{n:02}.txt" for n in range(40)))
    async with KognitosServer(latency=0.01) as server:
        environ = {**os.environ, **server.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        for seconds in ("0.5", "0.6"):
            arguments = ("-c", KILLED, str(folder), str(tmp_path / "journal"), seconds)
            await asyncio.to_thread(shared().run, *arguments, env=environ)
        async with server.client(**FAST) as client:
            requests = [
                RunRequest(process_id=server.process.id, name=path.name, files=[path]) for path in paths
            ]
            found = await outcomes_of(client, requests, tmp_path / "journal")
        assert {outcome.error for outcome in found.values()} == {None}
        assert server.duplicates() == {}
        assert server.count("upload_file", status=204) <= 40 + 2 * 8
        for path in paths:
            assert contents(server, path.name) == [f"content of {path.name}"]


def test_contents_stay_out_of_an_outcome_as_a_dict():
    """Files are shown by their names."""
    files = [FileSource(b"secret content", "a.txt"), "folder/b.txt"]
    outcome = RunOutcome(request=RunRequest(process_id="p", name="n", files=files))
    assert outcome.to_dict()["request"]["files"] == ["a.txt", "folder/b.txt"]
    inputs = {"one": FileSource(b"secret content", "a.txt"), "all": [FileSource("b.txt")]}
    outcome = RunOutcome(request=InvokeRequest(automation="a", inputs=inputs))
    assert outcome.to_dict()["request"]["inputs"] == {"one": "a.txt", "all": ["b.txt"]}


async def test_inputs_that_hold_themselves_are_an_outcome_of_their_own():
    """They cannot be encoded; the others are not affected."""
    endless = []
    endless.append(endless)
    async with KognitosServer() as server, server.platform_client(**FAST) as client:
        automation = server.platform.automation.name
        requests = [
            InvokeRequest(automation=automation, name="endless", inputs={"list": endless}),
            InvokeRequest(automation=automation, name="fine"),
        ]
        found = await outcomes_of(client, requests)
        assert "nested" in str(found["endless"].error)
        assert found["fine"].error is None
        with pytest.raises(ValueError, match="nested"):
            await client.automations.invoke(automation, {"list": endless})
