"""The exception tree, and pickling of errors."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime

import pytest

import kognitos_async
from kognitos_async import errors
from kognitos_async.errors import KognitosError

TREE = {
    "ConfigurationError": ("KognitosError", "ValueError"),
    "ClientClosedError": ("ConfigurationError", "RuntimeError"),
    "TransportError": ("KognitosError",),
    "NotSentError": ("TransportError",),
    "OutcomeUnknownError": ("TransportError",),
    "APIStatusError": ("KognitosError",),
    "BadRequestError": ("APIStatusError",),
    "AuthenticationError": ("APIStatusError",),
    "PermissionDeniedError": ("APIStatusError",),
    "CapacityError": ("PermissionDeniedError",),
    "NotFoundError": ("APIStatusError",),
    "ConflictError": ("APIStatusError",),
    "RateLimitError": ("APIStatusError",),
    "ServerError": ("APIStatusError",),
    "DecodeError": ("KognitosError",),
    "PaginationError": ("KognitosError",),
    "StartUncertainError": ("KognitosError",),
    "UploadError": ("KognitosError",),
    "JournalError": ("KognitosError",),
    "RunError": ("KognitosError",),
    "RunExceptionError": ("RunError",),
    "RunStoppedError": ("RunError",),
    "RunFailedError": ("RunError",),
    "AwaitingGuidanceError": ("RunError",),
    "UnknownStatusError": ("RunError",),
    "WaitTimeoutError": ("KognitosError", "TimeoutError"),
}
KINDS = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, KognitosError) and kind is not KognitosError
}
SINCE = datetime(2031, 2, 3, tzinfo=UTC)


def example(kind):
    """An error of the given type with all its attributes set."""
    if issubclass(kind, errors.APIStatusError):
        return kind(
            "GET /runs: 400, no",
            status=400,
            message="no",
            details=[{"name": "n", "value": 1}],
            body=b"{}",
            request_id="req",
            method="GET",
            path="/runs",
            attempts=3,
            retry_after=1.5,
        )
    if kind is errors.OutcomeUnknownError:
        return kind("lost", attempts=2, timed_out=True)
    if issubclass(kind, errors.TransportError):
        return kind("lost", attempts=2)
    if kind is errors.DecodeError:
        return kind("wrong", path="$.id", body=b"{}", malformed=True)
    if kind is errors.StartUncertainError:
        return kind("maybe", request={"name": "n"}, since=SINCE)
    if kind is errors.UploadError:
        return kind("refused", status=403, body=b"<Error/>", code="AccessDenied")
    if issubclass(kind, errors.RunError) or kind is errors.WaitTimeoutError:
        return kind("run", run={"id": "r"})
    return kind("plain")


def test_the_tree_is_as_documented():
    """Each error and its parents, which users name in `except` clauses."""
    assert {name: tuple(base.__name__ for base in kind.__bases__) for name, kind in KINDS.items()} == TREE


def test_every_error_is_public_and_in_the_docstring():
    """Exported by the package, and drawn in the tree of the module's docstring."""
    for name, kind in KINDS.items():
        assert getattr(kognitos_async, name) is kind
        assert f"── {name}" in errors.__doc__
        assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_error_survives_pickling_and_copying(kind):
    """With type, text and every attribute."""
    one = example(kind)
    one.continuation_token = "token"
    one.add_note("seen in a worker")
    for twin in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert type(twin) is kind
        assert str(twin) == str(one)
        assert twin.args == one.args
        assert twin.__dict__ == one.__dict__
    assert len(one.__dict__) >= 2


def test_a_subclass_of_a_user_survives_pickling_too():
    """Whatever its constructor takes."""
    twin = pickle.loads(pickle.dumps(OwnError(7)))
    assert (type(twin), twin.code, str(twin)) == (OwnError, 7, "code 7")


class OwnError(KognitosError):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


def test_a_wait_timeout_is_a_timeout_error():
    """`except TimeoutError` catches it as that of asyncio."""
    with pytest.raises(TimeoutError):
        raise example(errors.WaitTimeoutError)
