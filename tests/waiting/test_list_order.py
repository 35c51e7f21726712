"""What the times of a list prove about its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
        order.go_on(NOW + timedelta(seconds=second) for second in page)
    seconds = [second for page in pages for second in page]
    differ = len(set(seconds)) > 1
    assert order.newest_first == (differ and seconds == sorted(seconds, reverse=True))
    assert order.oldest_first == (differ and seconds == sorted(seconds))
    assert order.read == len(seconds)
    assert order.last == (NOW + timedelta(seconds=seconds[-1]) if seconds else None)
