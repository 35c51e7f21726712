"""OpenTelemetry instrumentation for clients of both APIs: `instrument(client)`. Needs the extra `otel`.

There are spans for starts, waits, polls, uploads and bulk jobs, with child spans for their HTTP attempts, and
metrics. `kognitos_async/README.md` lists names and attributes. No trace headers are sent.
"""

try:
    import opentelemetry.trace as _trace  # noqa: F401 - checks that the extra is installed
except ImportError as _missing:
    raise ImportError(
        "kognitos_async.telemetry needs OpenTelemetry: install it with pip install 'kognitos-async[otel]'"
    ) from _missing

from kognitos_async.telemetry.instrumentation import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
