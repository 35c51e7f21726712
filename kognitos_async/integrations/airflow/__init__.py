"""Airflow: deferrable operators that start a run once, across crashes of worker, scheduler and triggerer.

    from kognitos_async.integrations.airflow import KognitosRunOperator

    KognitosRunOperator(task_id="invoice", process_id="…", inputs={"the number": 7}, pool="kognitos")

Needs Airflow 3.3 or newer (`pip install 'kognitos-async[airflow]'`) for its task state store.
`kognitos_async/integrations/airflow.md` describes what is stored and the behaviour at each crash.
"""

from kognitos_async.integrations.airflow.hooks import KognitosHook, KognitosPlatformHook
from kognitos_async.integrations.airflow.operators import (
    KognitosInvokeOperator,
    KognitosRunLink,
    KognitosRunOperator,
)
from kognitos_async.integrations.airflow.triggers import KognitosInvokeTrigger, KognitosRunTrigger

__all__ = [
    "KognitosHook",
    "KognitosInvokeOperator",
    "KognitosInvokeTrigger",
    "KognitosPlatformHook",
    "KognitosRunLink",
    "KognitosRunOperator",
    "KognitosRunTrigger",
]
