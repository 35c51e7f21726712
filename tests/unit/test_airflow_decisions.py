"""What an attempt of an Airflow task does next; decided without Airflow."""

from __future__ import annotations

import ast
import sys
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import kognitos_async
from kognitos_async.integrations.airflow_provider import get_provider_info

PACKAGE = Path(kognitos_async.__file__).parent / "integrations" / "airflow"
SPEC = spec_from_file_location(
    "tests.unit.start_record", PACKAGE / "start_record.py"
)  # the package itself needs Airflow
record = sys.modules[SPEC.name] = module_from_spec(SPEC)  # where msgspec looks for annotations
SPEC.loader.exec_module(record)

IDENTITY = ("dag", "manual__2026-01-01", "task", -1)


def step(status="Running", *, succeeded=False, settled=False, ended=False, cleared=False, rerun=()):
    return record.next_step(
        status=status, succeeded=succeeded, settled=settled, ended=ended, cleared=cleared, rerun=rerun
    )


@pytest.mark.parametrize("cleared", [False, True])
def test_a_run_that_is_not_final_is_waited_for_by_retries_and_cleared_tasks(cleared):
    assert step(cleared=cleared, rerun=["Running"]) == "wait"


def test_a_retry_starts_another_run_only_for_a_status_to_be_run_again():
    settled = {"settled": True, "ended": True}
    assert step("Succeeded", succeeded=True, rerun=["Succeeded"], **settled) == "finish"
    assert step("Failed", **settled) == "finish"
    assert step("Failed", rerun=["Failed"], **settled) == "start"
    assert step("Exception", settled=True, rerun=["Exception"]) == "start"


def test_a_cleared_task_starts_another_run_when_its_run_is_final():
    assert step("Succeeded", succeeded=True, settled=True, ended=True, cleared=True) == "start"
    assert step("Failed", settled=True, ended=True, cleared=True) == "start"
    assert step("Exception", settled=True, cleared=True) == "finish"


def test_names_are_the_same_at_each_try_and_differ_where_runs_differ():
    name = record.run_name("dag.task", IDENTITY, 1)
    assert name == record.run_name("dag.task", IDENTITY, 1)
    others = [("dag", "manual__2026-01-02", "task", -1), (*IDENTITY[:3], 0), ("d", "agmanual", "task", -1)]
    names = {name, record.run_name("dag.task", IDENTITY, 2)}
    names |= {record.run_name("dag.task", other, 1) for other in others}
    assert len(names) == 5


@pytest.mark.parametrize("prefix", ["", "  ", "x" * 500, "ü" * 90, "a b " * 40])
def test_names_are_truncated_to_the_limit_of_the_api_and_stripped(prefix):
    name = record.run_name(prefix, IDENTITY, 1)
    assert 1 <= len(name) <= 100
    assert name == name.strip()


def test_a_record_is_read_as_it_was_stored():
    written = record.StartRecord(max_tries=2, sending_at=datetime.now(UTC), handle={"id": "run-1"})
    assert record.read_record(written.stored(), 5) == written
    assert record.read_record(None, 5) == record.StartRecord(max_tries=5)


def test_airflow_is_led_to_hooks_that_exist():
    classes = {
        node.name
        for node in ast.parse((PACKAGE / "hooks.py").read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    for connection in get_provider_info()["connection-types"]:
        module, _, name = connection["hook-class-name"].rpartition(".")
        assert module == "kognitos_async.integrations.airflow.hooks"
        assert name in classes
