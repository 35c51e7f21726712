"""Start runs from synchronous code, such as a Django view or a Celery task, and print their outcome.

One event loop in a thread, anyio's blocking portal, serves the whole process. Set KOGNITOS_API_KEY,
KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/sync_portal.py INV-0001 INV-0002
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from anyio.from_thread import start_blocking_portal

from kognitos_async import KognitosClient, Run, RunError, WaitTimeoutError


def main() -> int:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(KognitosClient()) as client:

        def book(invoice: str) -> Run:
            """Start a run and block the calling thread until it has settled. Thread-safe."""
            run = portal.call(
                partial(
                    client.run_and_wait,
                    os.environ["KOGNITOS_PROCESS_ID"],
                    name=f"book {invoice}",
                    inputs={"invoice": invoice},
                    timeout=600,
                )
            )
            run.raise_for_status()
            return run

        with ThreadPoolExecutor() as threads:  # like the workers of a web server
            bookings = {invoice: threads.submit(book, invoice) for invoice in sys.argv[1:]}
            for invoice, booking in bookings.items():
                try:
                    print(f"{invoice}: {booking.result().status}")
                except (RunError, WaitTimeoutError) as problem:
                    print(f"{invoice}: {problem}", file=sys.stderr)
    return 0 if all(booking.exception() is None for booking in bookings.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
