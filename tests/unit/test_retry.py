"""Decisions to retry, and the delays."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    CapacityError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    UploadError,
)
from kognitos_async.retry import (
    RetryQuota,
    backoff,
    certainly_not_done,
    decide,
    is_retryable,
    parse_retry_after,
)

NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)

STATUS_ERRORS = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
}


def refused(status, retry_after=None, kind=None):
    kind = kind or STATUS_ERRORS.get(status) or (ServerError if status >= 500 else APIStatusError)
    return kind("refused", status=status, retry_after=retry_after)


seconds = st.floats(0, 1e6, allow_nan=False)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 10),
    base_delay=st.floats(0, 1e4),
    max_delay=st.floats(0, 1e4),
    retry_after_limit=st.floats(0, 1e5),
)
failures = st.one_of(
    st.builds(lambda: NotSentError("no connection")),
    st.builds(lambda late: OutcomeUnknownError("lost", timed_out=late), st.booleans()),
    st.builds(lambda: DecodeError("html", path="$", body=b"", malformed=True)),
    st.builds(lambda: CapacityError("full", status=403)),
    st.builds(refused, st.integers(300, 599), st.none() | seconds),
)
chances = st.integers(0, 2**32).map(random.Random)
attempts = st.integers(1, 12)


def certainly_not_processed(failure):
    """The documented cases: never connected, 429, 503 with Retry-After, the 403 that means capacity."""
    if isinstance(failure, NotSentError | CapacityError):
        return True
    if not isinstance(failure, APIStatusError):
        return False
    return failure.status == 429 or (failure.status == 503 and failure.retry_after is not None)


def decision(policy, failure, attempt, *, repeatable, random):
    """The decision for a repeatable request, or one that is not."""
    retryable = is_retryable(failure, repeatable=repeatable)
    return decide(policy, failure, attempt, retryable=retryable, random=random)


def is_retryable_read(failure):
    """The documented cases: connection errors, timeouts, 408, 429, 500, 502, 503, 504, capacity."""
    if isinstance(failure, APIStatusError):
        return failure.status in {408, 429, 500, 502, 503, 504} or isinstance(failure, CapacityError)
    return isinstance(failure, NotSentError | OutcomeUnknownError)


@given(policies, failures, attempts, chances)
def test_starts_are_retried_only_if_certainly_not_processed(policy, failure, attempt, chance):
    """No other failure of a request that is not repeatable is retried."""
    delay = decision(policy, failure, attempt, repeatable=False, random=chance)
    assert certainly_not_done(failure) == certainly_not_processed(failure)
    if delay is not None:
        assert certainly_not_processed(failure)


@given(policies, failures, attempts, chances, st.booleans())
def test_every_decision_keeps_to_the_policy(policy, failure, attempt, chance, repeatable):
    """Attempts and jitter are bounded; Retry-After is never shortened, and raised above the limit."""
    delay = decision(policy, failure, attempt, repeatable=repeatable, random=chance)
    asked = getattr(failure, "retry_after", None)
    allowed = is_retryable_read(failure) if repeatable else certainly_not_processed(failure)
    expected_none = (
        attempt >= policy.max_attempts
        or not allowed
        or (asked is not None and asked > policy.retry_after_limit)
    )
    assert (delay is None) == expected_none
    if delay is not None:
        longest = min(policy.max_delay, policy.base_delay * 2 ** (attempt - 1))
        assert (asked or 0) <= delay <= max(asked or 0, longest)


@given(policies, st.integers(1, 10_000), chances)
def test_backoff_never_leaves_its_bounds(policy, attempt, chance):
    """After any number of attempts the delay is between 0 and max_delay."""
    assert 0 <= backoff(policy, attempt, chance) <= policy.max_delay


def test_backoff_is_full_jitter_over_a_doubling_ceiling():
    """With the defaults, the sleep after attempt n is uniform over 0 … min(20, 0.5·2ⁿ⁻¹)."""

    class Highest(random.Random):
        def random(self):
            return 1.0

    policy = RetryPolicy()
    assert [backoff(policy, n, Highest()) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    drawn = [backoff(policy, 1, random.Random(n)) for n in range(2000)]
    assert min(drawn) < 0.02
    assert max(drawn) > 0.48
    assert abs(sum(drawn) / len(drawn) - 0.25) < 0.02


@given(seconds)
def test_retry_after_in_seconds_is_read_exactly(value):
    """Integers and fractions."""
    assert parse_retry_after(repr(value), NOW) == value


@given(st.integers(-(10**6), 10**8), st.integers(-12, 12))
def test_retry_after_as_a_date_counts_from_now(delta, offset):
    """An HTTP date in any zone; a date in the past is 0."""
    date = format_datetime((NOW + timedelta(seconds=delta)).astimezone(timezone(timedelta(hours=offset))))
    assert parse_retry_after(date, NOW) == max(0, delta)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Mon, 03 Feb 2031 04:05:36 GMT", 30),
        ("Mon, 03 Feb 2031 04:05:36 -0000", 30),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
    ],
)
def test_retry_after_in_the_forms_servers_use(text, value):
    """GMT dates, unknown zones, plain seconds."""
    assert parse_retry_after(text, NOW) == value


BEYOND = [
    "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -1400",
]
"""Dates with numbers that Python's calendar cannot hold."""


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "soon", "-1", "nan", "inf", "-inf", "1e999", "Mon, 99 Feb 2031", "12 34", "\x00", "1;2"),
        *BEYOND,
    ],
)
def test_a_malformed_retry_after_is_none(text):
    """As if the header were absent."""
    assert parse_retry_after(text, NOW) is None


@given(st.text(max_size=60))
def test_any_retry_after_is_none_or_a_finite_delay(text):
    """Never negative, never an exception."""
    value = parse_retry_after(text, NOW)
    assert value is None or 0 <= value < float("inf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 2.0},
        {"base_delay": -1},
        {"base_delay": float("nan")},
        {"max_delay": float("inf")},
        {"retry_after_limit": "10"},
        {"base_delay": True},
    ],
)
def test_an_invalid_policy_is_refused(wrong):
    """ConfigurationError names the field."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


def test_a_policy_is_frozen():
    """Its default is shared."""
    with pytest.raises(AttributeError):
        RetryPolicy().max_attempts = 5  # type: ignore[misc]


def test_the_defaults_of_the_policy():
    """As documented."""
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.base_delay, policy.max_delay, policy.retry_after_limit) == (
        4,
        0.5,
        20.0,
        120.0,
    )


# The quota: botocore's numbers.

LOST = OutcomeUnknownError("lost")
LATE = OutcomeUnknownError("late", timed_out=True)


def test_a_fresh_quota_pays_for_100_retries_or_50_after_timeouts():
    """500 tokens at 5 a retry, 10 after a timeout; then failures are raised at once."""
    quota = RetryQuota()
    assert quota.tokens == 500
    assert [quota.take(LOST) for _ in range(101)] == [5] * 100 + [0]
    quota = RetryQuota()
    assert [quota.take(LATE) for _ in range(51)] == [10] * 50 + [0]


def test_a_failure_caused_by_a_timeout_costs_like_a_timeout():
    """An upload error whose cause is a timeout."""
    failure = UploadError("not stored")
    assert RetryQuota().take(failure) == 5
    failure.__cause__ = LATE
    assert RetryQuota().take(failure) == 10


def test_a_timeout_needs_ten_tokens_where_five_are_left():
    """A retry that is refused takes no tokens."""
    quota = RetryQuota()
    for _ in range(99):
        quota.take(LOST)
    assert quota.take(LATE) == 0
    assert quota.tokens == 5
    assert quota.take(refused(503)) == 5


def test_success_refunds_its_last_retry_or_one_token():
    """Up to the capacity of 500."""
    quota = RetryQuota()
    taken = quota.take(LATE)
    quota.give_back(taken)
    assert quota.tokens == 500
    quota.take(LOST)
    quota.give_back(0)
    assert quota.tokens == 496
    for _ in range(10):
        quota.give_back(0)
    assert quota.tokens == 500


@given(st.lists(st.sampled_from(["lost", "late", "ok", "recovered"]), max_size=300))
def test_the_quota_stays_between_0_and_500(events):
    """After any sequence of failures and successes."""
    quota = RetryQuota()
    taken = 0
    for event in events:
        if event in ("lost", "late"):
            taken = quota.take(LOST if event == "lost" else LATE)
        else:
            quota.give_back(taken if event == "recovered" else 0)
        assert 0 <= quota.tokens <= 500


class Longest(random.Random):
    """Always the end of the range."""

    def random(self):
        return 1.0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_retry_after_is_obeyed_up_to_the_limit_and_raised_just_above_it(status, repeatable):
    """120 s are slept with the defaults; anything longer is the caller's decision."""
    policy = RetryPolicy()

    def delay(asked):
        return decision(policy, refused(status, asked), 1, repeatable=repeatable, random=Longest())

    assert delay(120.0) == 120.0
    assert delay(120.5) is None


def test_the_sleep_is_the_longer_of_jitter_and_retry_after():
    """A Retry-After of 0 does not cancel the backoff, and a longer one is not added to it."""
    policy = RetryPolicy(base_delay=8, max_delay=20)

    def delay(asked):
        return decision(policy, refused(503, asked), 1, repeatable=True, random=Longest())

    assert [delay(None), delay(0.0), delay(3.0), delay(9.0)] == [8, 8, 8, 9]
