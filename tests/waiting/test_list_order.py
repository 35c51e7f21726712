"""What the times of a list prove about its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async.waiting.list_order import Order

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGES = st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=5)


@given(PAGES)
def test_an_order_is_claimed_only_when_every_neighbour_agrees(pages):
    """Whatever the pages, as sorting all their times at once would tell."""
    order = Order()
    for page in pages:
        order.add(NOW + timedelta(seconds=second) for second in page)
    seconds = [second for page in pages for second in page]
    differ = len(set(seconds)) > 1
    assert order.newest_first == (differ and seconds == sorted(seconds, reverse=True))
    assert order.oldest_first == (differ and seconds == sorted(seconds))
    assert order.read == len(seconds)
    assert order.last == (NOW + timedelta(seconds=seconds[-1]) if seconds else None)


SECOND = timedelta(seconds=1)


def order_of(*seconds):
    order = Order()
    order.add(NOW + timedelta(seconds=second) for second in seconds)
    return order


@pytest.mark.parametrize(
    ("seconds", "than", "certain"),
    [
        ((), 9, False),
        ((5, 5), 9, False),
        ((9, 6, 3), 5, True),
        ((9, 6, 3), 4, False),
        ((9, 6, 7, 3), 5, True),
        ((9, 6, 8, 3), 5, False),
        ((9, 8), 99, False),
        ((3, 6, 9), 99, False),
    ],
)
def test_what_follows_in_a_falling_list_is_older(seconds, than, certain):
    """Than whatever is more than the inversions above the lowest, if it fell by more than them."""
    time = NOW + timedelta(seconds=than)
    assert order_of(*seconds).only_older_than(time, inversions=SECOND) == certain


@pytest.mark.parametrize(
    ("seconds", "than", "certain"),
    [
        ((), 9, False),
        ((5, 5), 9, False),
        ((3, 6, 9), 11, True),
        ((3, 6, 9), 10, False),
        ((3, 7, 6, 9), 11, True),
        ((3, 8, 6, 9), 11, False),
        ((8, 9), 99, False),
        ((9, 6, 3), 99, False),
    ],
)
def test_nothing_read_of_a_rising_list_is_newer(seconds, than, certain):
    """Than whatever is more than the inversions above the highest, if it rose by more than them."""
    time = NOW + timedelta(seconds=than)
    assert order_of(*seconds).nothing_newer_than(time, inversions=SECOND) == certain
