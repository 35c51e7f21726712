"""The requests that a job is given, read ahead of their starts."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Collection, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from kognitos_async import checks
from kognitos_async.bulk.types import EncodedStart
from kognitos_async.errors import ConfigurationError, KognitosError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from anyio.abc import TaskGroup

    from kognitos_async.bulk.types import Q


async def prefetched(
    requests: Iterable[Q] | AsyncIterable[Q],
    encode: Callable[[Q], EncodedStart],
    prepare: Callable[[Q, EncodedStart], Coroutine[Any, Any, None]],
    tasks: TaskGroup,
    *,
    max_uploads: int,
) -> AsyncGenerator[tuple[Q, EncodedStart | KognitosError]]:
    """The requests, each encoded before the next is read, because the input may reuse its objects.

    From a synchronous iterable, up to `max_uploads` requests with files are read ahead and given to
    `prepare`, so that their uploads proceed while all slots are taken.
    """
    waiting: deque[tuple[Q, EncodedStart | KognitosError]] = deque()
    most = max_uploads if isinstance(requests, Iterable) else 0
    failed: Exception | None = None
    async with aclosing(_iterate(requests)) as source:
        ended = False
        while True:
            while not ended and (not waiting or (len(waiting) <= most and _has_files(waiting[-1][1]))):
                try:
                    request = await anext(source)
                except StopAsyncIteration:
                    ended = True
                    break
                except Exception as error:  # noqa: BLE001 - raised below, after the requests read so far
                    failed, ended = error, True
                    break
                start = _encoded(encode, request)
                waiting.append((request, start))
                if len(waiting) > 1 and isinstance(start, EncodedStart) and start.files:
                    tasks.start_soon(prepare, request, start)
            if not waiting:
                if failed is not None:
                    raise failed
                return
            yield waiting.popleft()


async def _iterate(requests: Iterable[Q] | AsyncIterable[Q]) -> AsyncGenerator[Q]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


def _encoded(encode: Callable[[Q], EncodedStart], request: Q) -> EncodedStart | KognitosError:
    try:
        return encode(request)
    except (TypeError, ValueError) as problem:
        return problem if isinstance(problem, KognitosError) else ConfigurationError(str(problem))


def _has_files(start: EncodedStart | KognitosError) -> bool:
    return isinstance(start, EncodedStart) and bool(start.files)


def check_requests(requests: Any, max_in_flight: Any, rerun: Any, recheck: Any) -> None:
    """Raise `TypeError` or `ValueError` for invalid arguments of `run_many`."""
    if not isinstance(requests, Iterable | AsyncIterable) or isinstance(requests, str | bytes):
        raise TypeError(f"requests must be an iterable or async iterable, got {type(requests).__name__}")
    checks.at_least_one("max_in_flight", max_in_flight)
    if isinstance(rerun, str) or not isinstance(rerun, Collection):
        raise TypeError(f"rerun must be a collection of status words, got {type(rerun).__name__}")
    for word in rerun:
        if not isinstance(word, str):
            raise TypeError(f"rerun must be a collection of status words, got an item {word!r}")
    if not isinstance(recheck, bool):
        raise TypeError(f"recheck must be a bool, got {type(recheck).__name__}")
