"""Start five runs and print their OpenTelemetry spans, one per line, and metrics.

Needs `pip install 'kognitos-async[otel]' opentelemetry-sdk`. Set KOGNITOS_API_KEY,
KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/telemetry_console.py
"""

import asyncio
import os

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from kognitos_async import KognitosClient, RunRequest
from kognitos_async.telemetry import instrument


def line(span: ReadableSpan) -> str:
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    own = {name: value for name, value in (span.attributes or {}).items() if name.startswith("kognitos.")}
    return f"{milliseconds:8.1f} ms  {span.name}  {own}\n"


async def main() -> None:
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    metering = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    process = os.environ["KOGNITOS_PROCESS_ID"]
    async with KognitosClient() as client:
        instrument(client, tracer_provider=tracing, meter_provider=metering)
        requests = [RunRequest(process_id=process, name=f"import {number}") for number in range(5)]
        async with client.run_many(requests) as outcomes:
            async for outcome in outcomes:
                if outcome.run is None:
                    print(f"{outcome.request.name}: {outcome.error}")
    metering.shutdown()
    tracing.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
