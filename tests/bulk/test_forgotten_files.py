"""Files that the service has forgotten by the time of the start: uploaded again, once, and remembered."""

from __future__ import annotations

from collections import Counter

import pytest

from kognitos_async import FileSource, InvokeRequest, NotFoundError, RunRequest, StartUncertainError
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.support import FAST, eventually

pytestmark = pytest.mark.parametrize("api", ["v2", "platform"])


class Site:
    """One of the two APIs of a server, and jobs of it."""

    def __init__(self, api, server, folder):
        self.server = server
        self.world = server if api == "v2" else server.platform
        self.start = "create_run" if api == "v2" else "InvokeAutomation"
        self.listing = "list_runs" if api == "v2" else "ListRuns"
        self._upload = "upload_file" if api == "v2" else "UploadFile"
        self._folder = folder
        self._is_v2 = api == "v2"

    def client(self):
        return (self.server.client if self._is_v2 else self.server.platform_client)(**FAST)

    def request(self, name, file):
        path = self._folder / file
        path.write_text(f"content of {file}")
        if self._is_v2:
            return RunRequest(process_id=self.server.process.id, name=name, files=[path])
        inputs = {"of": name, "file": FileSource(path)}
        return InvokeRequest(automation=self.world.automation.name, name=name, inputs=inputs)

    async def outcomes(self, requests, journal=None, **options):
        options = {"absence_delay": 0.05, **options}
        async with self.client() as client, client.run_many(requests, journal=journal, **options) as outcomes:
            return {outcome.request.name: outcome async for outcome in outcomes}

    @property
    def uploads(self):
        return self.server.count(self._upload)

    @property
    def starts(self):
        return self.server.count(self.start)

    def contents(self):
        """What the runs were given, as far as the service still has it."""
        if self._is_v2:
            names = [name for run in self.server.runs.values() for name in run.file_ids]
        else:
            names = [run.inputs["file"]["file"]["remote"] for run in self.world.runs.values()]
        files = {file.id if self._is_v2 else file.name: file for file in self.world.files.values()}
        return Counter(files[name].content.decode() if name in files else None for name in names)


@pytest.fixture
async def site(api, tmp_path):
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        yield Site(api, server, tmp_path)


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


def errors_of(outcomes):
    return {outcome.error for outcome in outcomes.values()}


async def test_a_resume_uploads_forgotten_files_again_and_remembers_them(site, journal):
    """Each once, however many requests share it; the next resume uploads nothing."""
    requests = [site.request(f"run {n}", file) for n, file in enumerate(["a", "b", "c", "a", "a"])]
    site.server.misbehave(site.start, faults.refused(400, "The stage is not published"), times=None)
    outcomes = await site.outcomes(requests, journal)
    assert all("not published" in str(outcome.error) for outcome in outcomes.values())
    assert (site.uploads, site.starts) == (3, 5)
    site.server.behave()
    site.world.expire_files()
    outcomes = await site.outcomes([*requests, site.request("run new", "new")], journal)
    assert errors_of(outcomes) == {None}
    assert site.contents() == {"content of a": 3, "content of b": 1, "content of c": 1, "content of new": 1}
    assert (len(site.world.runs), site.uploads) == (6, 3 + 3 + 1)
    outcomes = await site.outcomes([*requests, site.request("run late", "b")], journal)
    assert errors_of(outcomes) == {None}
    assert (len(site.world.runs), site.uploads) == (7, 7)


@pytest.mark.parametrize("journaled", [True, False])
async def test_files_forgotten_while_the_job_waits_are_uploaded_again(site, journal, journaled):
    """With a journal and without."""
    requests = [site.request(f"run {n}", f"{n}") for n in range(3)]
    site.server.misbehave(site.start, faults.capacity_reached(), times=1)
    async with (
        site.client() as client,
        client.run_many(requests, max_in_flight=1, journal=journal if journaled else None) as outcomes,
    ):
        await eventually(lambda: site.uploads == 3 and len(site.world.files) == 3 and site.starts == 1)
        site.world.expire_files()
        found = [outcome async for outcome in outcomes]
    assert {outcome.error for outcome in found} == {None}
    assert site.contents() == {f"content of {n}": 1 for n in range(3)}
    assert site.uploads == 6


async def left_in_doubt(site, journal, *, after_work):
    """A request whose start was lost, and another one with the same file, which has expired since."""
    first, lost, other = (
        site.request(name, file) for name, file in (("first", "f"), ("lost", "a"), ("other", "a"))
    )
    assert errors_of(await site.outcomes([first], journal)) == {None}
    site.server.misbehave(site.start, faults.reset(after_work=after_work))
    site.server.misbehave(site.listing, faults.refused(400, "Not now"), times=None)
    outcomes = await site.outcomes([lost], journal)
    assert isinstance(outcomes["lost"].error, StartUncertainError)
    site.server.behave()
    site.world.expire_files()
    return lost, other


async def test_a_start_in_doubt_is_found_by_the_file_it_was_sent_with(site, journal):
    """Though another request has uploaded the file again since."""
    lost, other = await left_in_doubt(site, journal, after_work=True)
    outcomes = await site.outcomes([other, lost], journal, max_in_flight=1)
    assert errors_of(outcomes) == {None}
    assert (site.uploads, len(site.world.runs)) == (3, 3)
    assert site.contents() == {None: 2, "content of a": 1}


async def test_a_start_in_doubt_is_sent_again_with_its_own_file_or_not_at_all(site, api, journal):
    """Once proven absent it is refused for its file, and only then sent with another."""
    lost, other = await left_in_doubt(site, journal, after_work=False)
    outcomes = await site.outcomes([other, lost], journal, max_in_flight=1)
    assert outcomes["other"].error is None
    assert site.uploads == 3
    if api == "v2":
        assert outcomes["lost"].error is None
        assert site.server.count(site.start, status=404) == 2
        assert site.contents() == {None: 1, "content of a": 2}
    else:
        assert isinstance(outcomes["lost"].error, StartUncertainError)
        assert site.server.count(site.start, status=404) == 1
        assert len(site.world.runs) == 2


async def test_a_file_refused_again_is_the_outcome(site, journal):
    """It is uploaded twice at most, for all the requests that share it, and nothing is tried for ever."""
    requests = [site.request(f"run {n}", "a") for n in range(4)]
    site.server.misbehave(site.start, faults.refused(404, "A file was not found"), times=None)
    outcomes = await site.outcomes(requests, journal)
    assert all(isinstance(outcome.error, NotFoundError) for outcome in outcomes.values())
    assert (site.uploads, site.starts, len(site.world.runs)) == (2, 8, 0)


@pytest.mark.parametrize(
    ("status", "message", "again"),
    [
        (404, "Not found", True),
        (404, "A referenced resource was not found", True),
        (400, "file_ids: unknown value", True),
        (404, "Process x was not found", False),
        (400, "An input is missing", False),
        (409, "Try again", False),
    ],
)
async def test_only_a_refusal_that_can_be_about_a_file_leads_to_another_upload(site, status, message, again):
    """Neither API documents its words."""
    site.server.misbehave(site.start, faults.refused(status, message), times=1)
    outcomes = await site.outcomes([site.request("one", "a")])
    assert (outcomes["one"].error is None) == again
    assert site.uploads == 1 + again
