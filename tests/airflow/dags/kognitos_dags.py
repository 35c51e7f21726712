"""The DAGs of the tests, in the form of a user's; what differs between runs comes from their conf."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG

from kognitos_async.integrations.airflow import KognitosInvokeOperator, KognitosRunOperator

QUICK = {"retries": 2, "retry_delay": timedelta(0), "absence_delay": 0.1}
PROCESS = "{{ dag_run.conf['process_id'] }}"
AUTOMATION = "{{ dag_run.conf['automation'] }}"

with DAG("one_run") as one_run:
    KognitosRunOperator(task_id="run", process_id=PROCESS, inputs={"the text": "{{ run_id }}"}, **QUICK)

with DAG("run_again") as run_again:
    KognitosRunOperator(task_id="run", process_id=PROCESS, rerun=["Failed"], **QUICK)

with DAG("many_runs", max_active_tasks=64) as many_runs:
    many = {**QUICK, "retries": 5, "pool": "kognitos"}
    KognitosRunOperator.partial(task_id="run", process_id=PROCESS, **many).expand(
        inputs=[{"the number": number} for number in range(int(os.environ.get("KOGNITOS_TEST_RUNS", "12")))]
    )

with DAG("one_invocation") as one_invocation:
    KognitosInvokeOperator(task_id="run", automation=AUTOMATION, inputs={"text": "{{ run_id }}"}, **QUICK)
