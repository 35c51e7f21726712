"""Instrumented clients, and what they export to memory."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kognitos_async import InvokeRequest, RunRequest
from kognitos_async.telemetry import instrument
from kognitos_async.testing import KognitosServer, Schedule
from tests.support import FAST


class Exported:
    """What was traced and measured; spans that began are looked for among those that ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracing = TracerProvider(shutdown_on_exit=False)
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.open: set[int] = set()
        self.tracing.add_span_processor(_Watch(self.open))
        self.metering = MeterProvider([self.reader], shutdown_on_exit=False)

    def instrument(self, client: Any) -> None:
        instrument(client, tracer_provider=self.tracing, meter_provider=self.metering)

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def below(self, span: Any, name: str) -> list[Any]:
        """The spans of a name that have this one as parent."""
        return [one for one in self.named(name) if one.parent and one.parent.span_id == span.context.span_id]

    def metric(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The values of a metric, or the counts of a histogram, by the values of its attributes."""
        found: dict[tuple[Any, ...], Any] = defaultdict(int)
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points if metric.name == name else ():
                        key = tuple(point.attributes[key] for key in sorted(point.attributes))
                        found[key] = getattr(point, "count", None) or getattr(point, "value", 0)
        return dict(found)


class _Watch:
    def __init__(self, open_spans: set[int]) -> None:
        self._open = open_spans

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._open.add(span.context.span_id)

    def on_end(self, span: Any) -> None:
        self._open.discard(span.context.span_id)

    def _on_ending(self, span: Any) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


@pytest.fixture
async def server():
    async with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        yield server


@pytest.fixture
def exported():
    """Providers; after the test every span that began has ended."""
    found = Exported()
    yield found
    assert not found.open
    found.tracing.shutdown()
    found.metering.shutdown()


@pytest.fixture(params=["rest_v2", "platform_v1"])
async def api(request, server, exported):
    """An instrumented client of either API, and a function that makes the n-th request."""
    if request.param == "rest_v2":
        client: Any = server.client(**FAST)

        def make(number: int) -> Any:
            return RunRequest(
                process_id=server.process.id, name=f"secret name {number}", inputs={"secret input": "secret"}
            )
    else:
        client = server.platform_client(**FAST)

        def make(number: int) -> Any:
            return InvokeRequest(
                automation=server.platform.automation.id, inputs={"secret input": f"secret {number}"}
            )

    exported.instrument(client)
    async with client:
        yield client, make
