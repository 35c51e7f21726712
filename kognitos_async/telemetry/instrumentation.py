"""Enabling and disabling telemetry of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace

from kognitos_async.base_client import BaseClient
from kognitos_async.settings import VERSION
from kognitos_async.telemetry.attributes import Server
from kognitos_async.telemetry.metering import Metrics
from kognitos_async.telemetry.tracing import Spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_SCOPE = "kognitos_async"
_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"
_instrumented: WeakKeyDictionary[BaseClient, tuple[Callable[[], None], ...]] = WeakKeyDictionary()


def instrument(
    client: BaseClient,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Record spans and metrics of a client until `uninstrument(client)`.

    `client` is a `KognitosClient` or a `PlatformClient`, open or not. Providers default to the global ones,
    even if those are set later. No effect on a client that is already instrumented. Names of runs, inputs,
    outputs, files, keys and presigned URLs are never recorded, and no trace headers are sent.

    Raises `TypeError` when `client` is not a client.
    """
    if not isinstance(client, BaseClient):
        raise TypeError(f"client must be a KognitosClient or PlatformClient, got {type(client).__name__}")
    if client in _instrumented:
        return
    server = Server.of(client.base_url)
    tracer = trace.get_tracer(_SCOPE, VERSION, tracer_provider, _SCHEMA)
    meter = metrics.get_meter(_SCOPE, VERSION, meter_provider, _SCHEMA)
    _instrumented[client] = (
        client.observe(Spans(tracer, server, _always if tracer_provider else _are_spans_wanted)),
        client.observe(Metrics(meter, server, _always if meter_provider else _are_metrics_wanted)),
    )


def uninstrument(client: BaseClient) -> None:
    """Stop recording. Spans in progress end with their work. No effect on a client not instrumented."""
    for end in _instrumented.pop(client, ()):
        end()


def _always() -> bool:
    return True


def _are_spans_wanted() -> bool:
    """Whether a global provider that records has been set."""
    idle = trace.ProxyTracerProvider | trace.NoOpTracerProvider
    return not isinstance(trace.get_tracer_provider(), idle)


def _are_metrics_wanted() -> bool:
    provider = metrics.get_meter_provider()
    # The class of the default proxy provider is not public.
    return not (
        isinstance(provider, metrics.NoOpMeterProvider) or type(provider).__name__.startswith("_Proxy")
    )
