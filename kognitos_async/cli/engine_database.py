"""The database of `kognitos engine`: opened for one command, with its errors in one line."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kognitos_async.integrations.dbos import KognitosWorkflows


class DatabaseProblemError(KognitosError):
    """The database cannot be reached or used."""


@contextmanager
def opened(kognitos: KognitosWorkflows, *, verbose: bool) -> Iterator[KognitosWorkflows]:
    """Close the workflows at the end. Raises `DatabaseProblemError` for an error of their database."""
    # Imported by the workflows already.
    from psycopg import Error  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    if not verbose:  # a warning before each error of a connection
        logging.getLogger("dbos").setLevel(logging.ERROR)
    try:
        yield kognitos
    except* (SQLAlchemyError, Error) as failed:
        raise DatabaseProblemError(f"the database cannot be used: {_cause(failed)}") from None
    finally:
        kognitos.close()


def _cause(failed: BaseException) -> str:
    """What the driver says, without the statement and its values; it never names the password."""
    while isinstance(failed, BaseExceptionGroup):  # tasks fail alike
        failed = failed.exceptions[0]
    cause = getattr(failed, "orig", None) or failed
    return str(cause.args[0]) if cause.args else type(cause).__name__
