"""The operators in Airflow, by `dag.test()` on SQLite; skipped where Airflow is not installed.

Run them in an environment of their own, as the step "Airflow" of `.ci/run` does.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("airflow") is None:
    pytest.skip("Airflow is not installed: .ci/run makes an environment with it", allow_module_level=True)

DAGS = Path(__file__).parent / "dags"
HOME = tempfile.mkdtemp(prefix="airflow")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(  # read when Airflow is first imported
    {
        "AIRFLOW_HOME": HOME,
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    }
)
sys.path.insert(0, str(DAGS))

import airflow  # noqa: E402
import jsonschema  # noqa: E402
import kognitos_dags  # noqa: E402
import msgspec  # noqa: E402
from airflow.models.taskinstance import TaskInstance  # noqa: E402
from airflow.sdk.execution_time.context import TaskStateStoreAccessor  # noqa: E402
from airflow.utils.db import initdb  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from sqlalchemy import select  # noqa: E402

from kognitos_async import OutcomeUnknownError, Runs  # noqa: E402
from kognitos_async.integrations.airflow import (  # noqa: E402  # noqa: E402
    KognitosHook,
    KognitosInvokeTrigger,
    KognitosPlatformHook,
    KognitosRunTrigger,
)
from kognitos_async.integrations.airflow_provider import get_provider_info  # noqa: E402
from kognitos_async.testing import KognitosServer, Schedule, faults  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def database():
    initdb()


@pytest.fixture
def server(monkeypatch):
    with KognitosServer(schedule=Schedule.fixed(0.1), capacity=None) as server:
        connect(monkeypatch, server)
        yield server


def connect(monkeypatch, server, key=None):
    monkeypatch.setenv(
        "AIRFLOW_CONN_KOGNITOS_DEFAULT",
        json.dumps(
            {
                "conn_type": "kognitos",
                "password": key or server.api_key,
                "extra": {
                    "agent_id": server.agent_id,
                    "base_url": server.base_url,
                    "run_url": "https://kognitos.example/{process_id}/{id}",
                },
            }
        ),
    )
    environ = server.platform.environ
    monkeypatch.setenv(
        "AIRFLOW_CONN_KOGNITOS_PLATFORM_DEFAULT",
        json.dumps(
            {
                "conn_type": "kognitos_platform",
                "password": environ["KOGNITOS_TOKEN"],
                "extra": {
                    "base_url": server.url,
                    "organization_id": environ["KOGNITOS_ORGANIZATION_ID"],
                    "workspace_id": environ["KOGNITOS_WORKSPACE_ID"],
                },
            }
        ),
    )


def run(dag, server):
    """One run of the DAG; its task instances by map index."""
    conf = {"process_id": server.process.id, "automation": server.platform.automation.id}
    dag_run = dag.test(run_conf=conf, logical_date=datetime.now(UTC))
    return {ti.map_index: ti for ti in dag_run.get_task_instances()}


def only(dag, server):
    [ti] = run(dag, server).values()
    return ti


def fail_when_storing(monkeypatch, member, times=1):
    """A worker that dies before it has stored a record that holds `member`."""
    stored, left = TaskStateStoreAccessor.set, [times]

    def failing(self, key, value, **rest):
        if value.get(member) is not None and left[0]:
            left[0] -= 1
            raise RuntimeError("killed")
        stored(self, key, value, **rest)

    monkeypatch.setattr(TaskStateStoreAccessor, "set", failing)


def test_outputs_are_in_xcom_and_a_link_leads_to_the_run(server):
    ti = only(kognitos_dags.one_run, server)
    assert ti.state == "success"
    [started] = server.runs.values()
    assert (
        ti.xcom_pull(task_ids="run") == {output["name"]: output["value"] for output in started.outputs} != {}
    )
    assert ti.xcom_pull(task_ids="run", key="run_id") == started.id
    link = ti.xcom_pull(task_ids="run", key="_link_KognitosRunLink")
    assert link == f"https://kognitos.example/{server.process.id}/{started.id}"
    assert started.name.startswith("one_run.run ")
    assert len(started.name) <= 100


@pytest.mark.parametrize("status", ["Exception", "Stopped", "Failed"])
def test_a_run_without_success_ends_the_task_and_no_retry_starts_another(monkeypatch, status):
    with KognitosServer(schedule=Schedule.fixed(0.1, outcome=status)) as server:
        connect(monkeypatch, server)
        ti = only(kognitos_dags.one_run, server)
    assert (ti.state, ti.try_number) == ("failed", 1)
    assert len(server.runs) == 1


def test_a_status_to_be_run_again_starts_one_run_a_try(monkeypatch):
    with KognitosServer(schedule=Schedule.fixed(0.1, outcome="Failed")) as server:
        connect(monkeypatch, server)
        ti = only(kognitos_dags.run_again, server)
    assert (ti.state, ti.try_number) == ("failed", 3)
    assert len({started.name for started in server.runs.values()}) == len(server.runs) == 3


def test_a_refused_key_ends_the_task_and_is_not_logged(monkeypatch, server, caplog, capfd):
    connect(monkeypatch, server, key="a-wrong-key-7261")
    with caplog.at_level(logging.DEBUG):
        ti = only(kognitos_dags.one_run, server)
    assert (ti.state, ti.try_number) == ("failed", 1)
    printed = capfd.readouterr()
    assert "a-wrong-key-7261" not in caplog.text + printed.out + printed.err


def test_a_lost_answer_starts_one_run(server):
    server.misbehave("create_run", faults.reset(after_work=True))
    assert only(kognitos_dags.one_run, server).state == "success"
    assert len(server.runs) == 1


def test_a_retry_after_a_lost_answer_that_could_not_be_resolved_finds_the_run(server):
    server.misbehave("create_run", faults.reset(after_work=True))
    server.misbehave("list_runs", faults.refused(400, "no"))
    ti = only(kognitos_dags.one_run, server)
    assert (ti.state, ti.try_number) == ("success", 2)
    assert len(server.runs) == 1


def test_a_retry_finds_the_run_of_a_worker_killed_before_it_recorded_it(server, monkeypatch):
    fail_when_storing(monkeypatch, "handle")
    ti = only(kognitos_dags.one_run, server)
    assert (ti.state, ti.try_number) == ("success", 2)
    assert (len(server.runs), server.count("create_run")) == (1, 1)


def test_the_intent_is_the_time_of_the_attempt_that_is_in_doubt(server, monkeypatch):
    """A look-up takes no run for it that was made much later."""
    times, stored = [], TaskStateStoreAccessor.set

    def noted(self, key, value, **rest):
        times.append(value.get("sending_at"))
        stored(self, key, value, **rest)

    monkeypatch.setattr(TaskStateStoreAccessor, "set", noted)
    server.misbehave("create_run", faults.rate_limited())
    assert only(kognitos_dags.one_run, server).state == "success"
    first, second, handle = times
    assert first < second
    assert handle is None


def test_a_try_that_fails_before_its_look_up_leaves_the_earlier_start_in_doubt(server, monkeypatch):
    fail_when_storing(monkeypatch, "handle")
    started, calls = Runs.start_once, []

    async def second_fails_early(self, request, **rest):
        calls.append(rest["earlier"])
        if len(calls) == 2:
            raise OutcomeUnknownError("the connection was lost")
        return await started(self, request, **rest)

    monkeypatch.setattr(Runs, "start_once", second_fails_early)
    only(kognitos_dags.one_run, server)
    assert calls[0] is None
    assert all(earlier is not None for earlier in calls[1:])
    assert len(calls) == 3
    assert (len(server.runs), server.count("create_run")) == (1, 1)


def test_a_worker_that_was_taken_over_from_sends_nothing(server, monkeypatch):
    """Its id is gone once the task has got another try, so that it can store nothing any more."""
    started, sent = Runs.start_once, []

    async def too_late(self, request, **rest):
        monkeypatch.setattr(Runs, "start_once", started)
        with create_session() as session:
            session.scalar(
                select(TaskInstance).where(TaskInstance.state == "running")
            ).prepare_db_for_next_try(session)
        try:
            return await started(self, request, **rest)
        finally:
            sent.append(server.count("create_run"))

    monkeypatch.setattr(Runs, "start_once", too_late)
    only(kognitos_dags.one_run, server)
    assert sent == [0]


def test_nothing_is_sent_when_the_intent_cannot_be_stored(server, monkeypatch):
    fail_when_storing(monkeypatch, "sending_at", times=3)
    assert only(kognitos_dags.one_run, server).state == "failed"
    assert server.count("create_run") == 0


def test_a_refused_start_leaves_no_doubt(server):
    server.misbehave("InvokeAutomation", faults.capacity_reached(), times=None)
    assert only(kognitos_dags.one_invocation, server).state == "failed"
    assert server.count("ListRuns") == 0


def test_mapped_tasks_start_a_run_each(server):
    tries = run(kognitos_dags.many_runs, server)
    assert [tries[index].state for index in sorted(tries)] == ["success"] * 12
    assert (len(server.runs), server.duplicates()) == (12, {})


def test_an_invocation_succeeds(server):
    ti = only(kognitos_dags.one_invocation, server)
    assert ti.state == "success"
    [started] = server.platform.runs.values()
    assert ti.xcom_pull(task_ids="run", key="run_id") == started.id
    assert isinstance(ti.xcom_pull(task_ids="run"), dict)


def test_an_invocation_in_doubt_is_never_repeated(server, monkeypatch):
    """A new process cannot know whose the run is: nothing marks it, and the API does not say who we are."""
    fail_when_storing(monkeypatch, "handle")
    ti = only(kognitos_dags.one_invocation, server)
    assert (ti.state, ti.try_number) == ("failed", 3)
    assert (len(server.platform.runs), server.count("InvokeAutomation")) == (1, 1)


def test_a_retry_waits_for_the_invocation_that_was_recorded(server, monkeypatch):
    waited = KognitosInvokeTrigger._wait
    monkeypatch.setattr(KognitosInvokeTrigger, "_wait", lambda self, settings: lost(monkeypatch, waited))
    ti = only(kognitos_dags.one_invocation, server)
    assert (ti.state, ti.try_number) == ("success", 2)
    assert (len(server.platform.runs), server.count("InvokeAutomation")) == (1, 1)


async def lost(monkeypatch, waited):
    monkeypatch.setattr(KognitosInvokeTrigger, "_wait", waited)
    raise OutcomeUnknownError("the answer was lost")


def test_triggers_of_one_triggerer_share_their_polls(monkeypatch):
    """A hundred runs of a process, from a loop that runs them as a triggerer does."""
    with KognitosServer(schedule=Schedule.fixed(2.0), capacity=None) as server:
        connect(monkeypatch, server)
        runs = [server.add_run(name=f"run {number}") for number in range(100)]

        async def fired(made):
            trigger = KognitosRunTrigger(*made.serialize()[1].values())
            return await anext(aiter(trigger.run()))

        async def all_fired():
            async with server.client() as client:
                handles = [msgspec.to_builtins((await client.runs.get(made.id)).handle) for made in runs]
            before = server.count("get_run")
            triggers = [KognitosRunTrigger("kognitos_default", handle) for handle in handles]
            events = await asyncio.gather(*(fired(trigger) for trigger in triggers))
            return events, server.count("get_run") - before

        events, single = asyncio.run(all_fired())
    assert {event.payload["status"] for event in events} == {"Succeeded"}
    assert single + server.count("list_runs") < 60


def test_a_trigger_that_cannot_go_on_says_why(server):
    handle = {"name": f"{server.platform.automation.name}/runs/none", "started_at": "2020-01-01T00:00:00Z"}

    async def fired():
        return await anext(aiter(KognitosInvokeTrigger("kognitos_platform_default", handle).run()))

    payload = asyncio.run(fired()).payload
    assert payload["hopeless"] is True
    assert payload["problem"].startswith("NotFoundError: ")


def test_airflow_takes_the_description_of_the_provider():
    info = get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)
    for connection in info["connection-types"]:
        module, _, name = connection["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert hook.conn_type == connection["connection-type"]


@pytest.mark.parametrize("key", [None, "a-wrong-key-7261"])
def test_a_connection_is_tested_with_a_request(server, monkeypatch, key):
    connect(monkeypatch, server, key=key)
    good, message = KognitosHook().test_connection()
    assert good is (key is None)
    assert "a-wrong-key-7261" not in message
    assert KognitosPlatformHook().test_connection()[0] is True
