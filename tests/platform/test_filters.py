"""Filters: what is written for which expression, and what cannot be written."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import F, Filter, Stage
from kognitos_async.platform_v1.filters import filter_text, spelled_filter_text

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (F.state == "PUBLISHED", 'state = "PUBLISHED"'),
        (F.state != Stage.DRAFT, 'state != "Draft"'),
        (F.create_time >= NOON, 'create_time >= "2026-01-02T12:00:00Z"'),
        (
            F.create_time < NOON.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=5),
            'create_time < "2026-01-02T12:00:00.000005Z"',
        ),
        (F.day <= date(2026, 1, 2), 'day <= "2026-01-02"'),
        (F.a.b.c > 3, "a.b.c > 3"),
        (F["odd-name"] == 1.5, "odd-name = 1.5"),
        (F.a["b"] == Decimal("1E+3"), "a.b = 1000"),
        (F.hidden == False, "hidden = false"),  # noqa: E712 - builds a filter
        (F.title.contains("a"), 'title:"a"'),
        ((F.a == 1) & (F.b == 2), "(a = 1) AND (b = 2)"),
        ((F.a == 1) | (F.b == 2) & ~(F.c == 3), "(a = 1) OR ((b = 2) AND (NOT (c = 3)))"),
        (F.title == 'say "hi" \\', 'title = "say \\"hi\\" \\\\"'),
    ],
)
def test_the_text_of_a_filter(built, text):
    """As AIP-160 reads it: parentheses leave no doubt about precedence."""
    assert str(built) == filter_text(built) == text
    assert built == Filter(text)
    assert hash(built) == hash(Filter(text))
    assert text in eval(repr(built), {"Filter": Filter}).__str__()


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_text_is_quoted_so_that_it_stays_one_value(text):
    """Quotes and backslashes cannot end it."""
    written = str(F.title == text)
    inside = re.fullmatch(r'title = "((?:[^"\\]|\\.)*)"', written)
    assert inside is not None
    assert re.sub(r"\\(.)", r"\1", inside[1]) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, TypeError),
        ([1], TypeError),
        (b"x", TypeError),
        (datetime(2026, 1, 1), ValueError),
        (float("nan"), ValueError),
        (Decimal("Infinity"), ValueError),
        ("line\nbreak", ValueError),
        ("nul\x00", ValueError),
        ("delete\x7f", ValueError),
        ("next\x85line", ValueError),
        ("separated\u2028lines", ValueError),
        (2**63, ValueError),
        (-(2**63) - 1, ValueError),
        (Decimal("1E+309"), ValueError),
        ("\ud800", ValueError),
    ],
)
def test_values_that_have_no_form_are_refused(value, kind):
    """When the filter is built, not when it is sent."""
    with pytest.raises(kind):
        F.a == value  # noqa: B015 - builds a filter


class Colour(Enum):
    RED = "red"


class Loud(float):
    def __repr__(self):
        return f"np.float64({float(self)!r})"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Colour.RED, '"red"'),
        (Loud(0.5), "0.5"),
        ("請求書　四月", '"請求書　四月"'),
        ("می‌خواهم", '"می‌خواهم"'),
        ("👩‍💻 é\u00a0é", '"👩‍💻 é\u00a0é"'),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
    ],
    ids=str,
)
def test_ordinary_text_of_any_language_and_numbers_of_any_library(value, written):
    """Ideographic blanks, joiners of Persian and of emoji; what numbers are, not how they show."""
    assert str(F.title == value) == f"title = {written}"


def test_scalars_of_numpy_are_compared_to():
    """As the Python values they are; NaT and nanoseconds have no form."""
    numpy = pytest.importorskip("numpy")
    assert str(F.a == numpy.float32(0.1)) == "a = 0.1"
    assert str(F.a == numpy.int8(3)) == "a = 3"
    assert str(F.a == numpy.bool_(True)) == "a = true"
    assert str(F.a == numpy.datetime64("2026-01-02")) == 'a = "2026-01-02"'
    with pytest.raises(ValueError, match="NaT"):
        F.a == numpy.datetime64("NaT", "s")  # noqa: B015 - builds a filter


def test_containment_may_be_spelled_as_a_word():
    """For the one list that wants it, through every combination."""
    found = ~(F.title.contains("a") & (F.b == 1)) | F.c.contains("x:y")
    assert str(found) == '(NOT ((title:"a") AND (b = 1))) OR (c:"x:y")'
    assert spelled_filter_text(found) == '(NOT ((title contains "a") AND (b = 1))) OR (c contains "x:y")'
    assert spelled_filter_text("title contains x") == "title contains x"
    assert spelled_filter_text(None) is None


def test_python_s_own_logic_is_refused_loudly():
    """`and`, `or`, `not` and chains would silently drop conditions."""
    with pytest.raises(TypeError, match="&"):
        bool(F.a == 1)
    with pytest.raises(TypeError, match="&"):
        1 < F.a < 3  # noqa: B015 - must not pass for a filter
    with pytest.raises(TypeError, match="compare"):
        bool(F.a)
    with pytest.raises(TypeError):
        (F.a == 1) & "b = 2"
    with pytest.raises(TypeError):
        (F.a == 1) | "b = 2"


@pytest.mark.parametrize("name", ["", "a b", "a.", ".a", "1a", 'a"', "ä"])
def test_names_that_are_no_fields_are_refused(name):
    """They would change what the filter means."""
    with pytest.raises(ValueError, match="name must be"):
        F[name]


def test_text_is_taken_as_it_is():
    """Nothing is left out, and nothing else is a filter."""
    assert filter_text("a = 1") == "a = 1"
    assert filter_text(None) is None
    with pytest.raises(ValueError, match="empty"):
        filter_text("")
    with pytest.raises(TypeError, match="Filter or str"):
        filter_text(3)
    assert repr(F.a.b) == "F.a.b"
    with pytest.raises(AttributeError):
        F.__wrapped__  # noqa: B018 - asked for by doctest and others
    with pytest.raises(AttributeError):
        F.a.__wrapped__  # noqa: B018
    assert (Filter("a") == 3) is False
