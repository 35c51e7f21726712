"""A mirror of a service whose list leaves outputs out, repeats tokens or refuses them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from kognitos_async import BadRequestError, KognitosClient, OutcomeUnknownError, PaginationError
from kognitos_async.mirror.store import read_mirror, store_of
from kognitos_async.rest_v2.run_reader import RunReader
from tests.support import FAST, answering

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOTAL = {"name": "the output total", "value": 1}


def listed(number, *, outputs=None):
    return {
        "id": f"r{number:04}",
        "name": f"run {number}",
        "agent_id": "a",
        "process_id": "p",
        "stage": "Published",
        "status": "Succeeded",
        "created_at": (NOON + timedelta(minutes=number)).isoformat(),
        "outputs": outputs,
    }


class Service:
    """Runs newest first, listed without outputs; single reads show those of `outputs_of`."""

    def __init__(self, *numbers):
        self.numbers = numbers
        self.outputs_of = set(numbers)
        self.refused = {}
        self.page = 100
        self.next_token = None
        self.lists = self.reads = 0
        self.broken = set()

    async def __call__(self, request):
        if request.path.endswith("/runs"):
            self.lists += 1
            token = request.query.get("continuation_token")
            if token in self.refused:
                status = self.refused[token]
                return web.json_response({"status_code": status, "message": "no"}, status=status)
            start = int(token or 0)
            size = min(self.page, int(request.query["limit"]))
            found = sorted(self.numbers, reverse=True)[start : start + size]
            more = start + size < len(self.numbers)
            following = self.next_token or (str(start + size) if more else None)
            return web.json_response(
                {"items": [listed(number) for number in found], "continuation_token": following}
            )
        self.reads += 1
        number = int(request.path.rpartition("/r")[2])
        if number in self.broken:
            return web.Response(text="<html>back soon</html>", content_type="text/html")
        return web.json_response(listed(number, outputs=[TOTAL] if number in self.outputs_of else None))


@asynccontextmanager
async def mirroring(service, path):
    async with answering(service) as url, KognitosClient("key", base_url=url, agent_id="a", **FAST) as client:

        async def sync():
            return await client.runs.sync(path, process_id="p")

        yield sync


def with_outputs(path):
    return read_mirror(path, lambda runs: {int(run.id[1:]) for run in runs if run.outputs})


@pytest.mark.parametrize("name", ["runs.sqlite", "runs.duckdb"])
async def test_newer_runs_without_outputs_erase_those_of_no_other(tmp_path, name):
    """What one pass has found out about the list, the next one knows."""
    path = tmp_path / name
    service = Service(*range(40))
    async with mirroring(service, path) as sync:
        await sync()
        assert with_outputs(path) == set(range(40))
        service.numbers = tuple(range(50))
        await sync()
    assert with_outputs(path) == set(range(40))


async def test_outputs_are_complete_though_the_newest_runs_have_none(tmp_path):
    """A later page shows it; the runs stored before that are read again."""
    path = tmp_path / "runs.sqlite"
    service = Service(*range(300))
    service.outputs_of = {*range(200), *range(200, 290, 2)}
    async with mirroring(service, path) as sync:
        await sync()
        assert with_outputs(path) == service.outputs_of


async def test_a_later_pass_completes_runs_stored_without_outputs(tmp_path):
    """Also those of pages that it would not read otherwise."""
    path = tmp_path / "runs.sqlite"
    service = Service(*range(300))
    service.outputs_of = set()
    async with mirroring(service, path) as sync:
        await sync()
        assert service.reads <= 5 + 2
        service.numbers = tuple(range(310))
        service.outputs_of = set(service.numbers)
        await sync()
    assert with_outputs(path) == set(range(310))


async def test_a_run_whose_outputs_could_not_be_read_is_read_again(tmp_path):
    """By the next pass, though it succeeded, and though its page is not read again."""
    path = tmp_path / "runs.sqlite"
    service = Service(*range(300))
    service.broken = {50}
    async with mirroring(service, path) as sync:
        assert (await sync()).undecoded == 1
        assert with_outputs(path) == set(range(300)) - {50}
        service.broken = set()
        await sync()
    assert with_outputs(path) == set(range(300))


async def test_a_repeated_token_ends_the_pass(tmp_path):
    """With an error instead of requests without end; the runs are kept."""
    service = Service(1)
    service.outputs_of = set()
    service.next_token = "0"
    async with mirroring(service, tmp_path / "runs.sqlite") as sync:
        with pytest.raises(PaginationError, match="repeated a continuation token"):
            await sync()
    assert service.lists == 2
    assert read_mirror(tmp_path / "runs.sqlite", lambda runs: len(list(runs))) == 1


async def test_a_page_that_is_always_refused_ends_the_pass(tmp_path):
    """After one try from the start, as its token may only have expired."""
    service = Service(*range(150))
    service.refused["100"] = 400
    async with mirroring(service, tmp_path / "runs.sqlite") as sync:
        with pytest.raises(BadRequestError):
            await sync()
    assert service.lists == 4


@pytest.mark.parametrize("status", [404, 410, 422])
async def test_a_saved_token_that_is_refused_does_not_stop_a_mirror_for_ever(tmp_path, status):
    """Whatever status means that it has expired."""
    service = Service(*range(150))
    service.refused["100"] = 401
    async with mirroring(service, tmp_path / "runs.sqlite") as sync:
        with pytest.raises(Exception, match="401"):
            await sync()
        service.refused["100"] = status
        service.page = 90
        assert (await sync()).new == 50


async def test_pages_that_are_too_large_are_asked_for_in_smaller_ones(tmp_path, monkeypatch):
    """From the first page on, as a token belongs to its page size."""
    read = RunReader.read_page

    async def read_small_ones(reader, group, token, since=None, *, size=None):
        if (size or reader.largest_page) > 30:
            raise OutcomeUnknownError("the answer is larger than 67108864 bytes", too_large=True)
        return await read(reader, group, token, since, size=size)

    monkeypatch.setattr(RunReader, "read_page", read_small_ones)
    async with mirroring(Service(*range(130)), tmp_path / "runs.sqlite") as sync:
        result = await sync()
    assert (result.new, result.pages) == (130, 6)


async def test_a_pass_beside_another_one_ends(tmp_path):
    """Another process that goes on with an older pass does not make this one read open runs for ever."""
    path = tmp_path / "runs.sqlite"
    running = {**listed(1), "status": "Running"}
    reads = 0

    async def answer(request):
        nonlocal reads
        if request.path.endswith("/runs"):
            return web.json_response({"items": [] if older else [running], "continuation_token": None})
        reads += 1
        if older and reads < 20:
            store.write("a/p", [], older)
        return web.json_response(running)

    older = None
    store = store_of(path)
    async with mirroring(answer, path) as sync:
        await sync()
        store.open("rest_v2")
        older = store.progress("a/p")
        await sync()
    store.close()
    assert reads == 1
