"""Runs whose ids cannot be read by: in answers, in lists, and on record."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from kognitos_async import ConfigurationError, Journal, RunRequest, StartUncertainError, WaitTimeoutError
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.test_ending import client_of, outcomes_of, requests_of
from tests.support import site


@pytest.mark.parametrize("unusable", ["", ".", "..", " ", "r\n"])
async def test_a_start_answered_without_a_usable_id_is_looked_up(tmp_path, unusable):
    """It is in doubt like one whose answer was lost; the others are not affected."""

    def renamed(run):
        return {**run, "id": unusable} if isinstance(run, dict) and run.get("name") else None

    async with site() as (server, client):
        server.misbehave("create_run", faults.rewritten(renamed), times=1, skip=2)
        requests = requests_of(server, "v2", 4)
        async with client.run_many(requests, journal=tmp_path / "j", absence_delay=0.05) as outcomes:
            found = {outcome.request.name: outcome async for outcome in outcomes}
        assert {outcome.error for outcome in found.values()} == {None}
        assert all(len(server.runs_named(name)) == 1 for name in found)


@pytest.mark.parametrize("unusable", ["", "..", "a/b", "organizations/o/workspaces/w/automations/a/runs/.."])
async def test_an_invocation_answered_without_a_usable_name_is_in_doubt(tmp_path, unusable):
    """So is an invocation; the others are not affected."""

    def renamed(answered):
        return {"run_id": unusable} if isinstance(answered, dict) else None

    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        server.misbehave("InvokeAutomation", faults.rewritten(renamed), times=1, skip=2)
        requests = requests_of(server, "platform", 4)
        outcomes = await outcomes_of(server, "platform", requests, tmp_path / "j")
        errors = [outcome.error for outcome in outcomes]
        assert all(error is None or isinstance(error, StartUncertainError) for error in errors)
        assert errors.count(None) >= 3


async def test_a_listed_run_without_a_usable_id_is_not_taken_for_a_lost_start(tmp_path):
    """Nothing could be read by it."""

    def renamed(page):
        return (
            {**page, "items": [{**item, "id": ".."} for item in page["items"]]} if "items" in page else None
        )

    async with site() as (server, client):
        server.misbehave("create_run", faults.reset(after_work=True), times=1)
        server.misbehave("list_runs", faults.rewritten(renamed), times=None)
        request = RunRequest(process_id=server.process.id, name="r")
        async with client.run_many([request], journal=tmp_path / "j", absence_delay=0.05) as outcomes:
            [outcome] = [outcome async for outcome in outcomes]
        assert isinstance(outcome.error, StartUncertainError)
        with Journal(tmp_path / "j") as journal:
            assert journal.summary()["starting"] == 1


@pytest.mark.parametrize("api", ["v2", "platform"])
async def test_a_recorded_run_that_is_no_id_concerns_its_request_only(tmp_path, api):
    """Earlier versions could record one."""
    async with KognitosServer(schedule=Schedule.fixed(5.0)) as server:
        requests = requests_of(server, api, 2)
        client = client_of(server, api)
        async with client, client.run_many(requests, journal=tmp_path / "j", run_timeout=0.05) as outcomes:
            assert {type(outcome.error) async for outcome in outcomes} == {WaitTimeoutError}
        bad, good = (request.name for request in requests)
        with contextlib.closing(sqlite3.connect(tmp_path / "j")) as database, database:
            database.execute("UPDATE runs SET run_id = run_id || char(10) WHERE name = ?", (bad,))
        client = client_of(server, api)
        async with client, client.run_many(requests, journal=tmp_path / "j", run_timeout=0.05) as outcomes:
            errors = {outcome.request.name: outcome.error async for outcome in outcomes}
        assert isinstance(errors[good], WaitTimeoutError)
        assert isinstance(errors[bad], ConfigurationError)
        assert "which is no id: correct it with Journal.resolve" in str(errors[bad])
