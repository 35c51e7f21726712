"""OpenTelemetry for clients of both APIs: `instrument(client)`. Needs the extra `otel`.

Spans cover starts, waits, polls, uploads and bulk jobs, with the HTTP attempts of each below; metrics count
and time them. `kognitos_async/README.md` lists names and attributes. Requests carry no trace headers.
"""

try:
    import opentelemetry.trace as _trace  # noqa: F401 - tells whether the extra is there
except ImportError as _missing:
    raise ImportError(
        "kognitos_async.telemetry needs OpenTelemetry: install it with pip install 'kognitos-async[otel]'"
    ) from _missing

from kognitos_async.telemetry.instrumentation import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
