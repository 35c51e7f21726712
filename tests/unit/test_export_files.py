"""The pages of an export on disk, and the types of what they hold."""

import errno
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async.bulk.file_lock import lock
from kognitos_async.cli.column_types import SeenTypes
from kognitos_async.cli.spool import Spool

TIME = datetime(2026, 1, 5, 12, tzinfo=timezone(timedelta(hours=2)))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.text(st.characters(codec=None)),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "$time", "$dict"]), inner),
)
columns_of = [
    *(st.just(value) for value in ("text", 7, TIME, Decimal("1.50"), None, math.inf, {"a": 1}, ["x"])),
    scalars,
    values,
]


@given(st.data(), st.integers(0, 4), st.sampled_from(columns_of))
def test_a_column_is_read_back_unchanged(tmp_path_factory, data, count, kind):
    column = data.draw(st.lists(kind, min_size=count, max_size=count))
    spool = Spool(tmp_path_factory.mktemp("spool") / "pages", {"source": "p"})
    spool.open()
    spool.add({"it": column}, count, None)
    assert list(spool.pages()) == [{"it": column}]
    spool.close()


def test_it_resumes_after_the_last_complete_page(tmp_path):
    path = tmp_path / "pages"
    question = {"source": "p", "since": None}
    spool = Spool(path, question)
    spool.open()
    heading = path.stat().st_size
    for token in ("t1", "t2", None):
        spool.add({"id": ["a", "b"]}, 2, token)
    spool.close()
    whole = path.read_bytes()
    page = (len(whole) - heading) // 3
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        again = Spool(path, question)
        again.open()
        pages = len(whole[:length].splitlines()) - 1 - (not whole[:length].endswith(b"\n"))
        pages = max(0, pages)
        assert again.count == 2 * pages
        assert again.token == {1: "t1", 2: "t2"}.get(pages)
        assert (again.complete, again.resumed) == (pages == 3, pages > 0)
        assert len(list(again.pages())) == pages
        again.close()
    assert page > 0


def test_pages_that_are_being_written_are_refused_and_left_alone(tmp_path):
    """Until they are closed or deleted."""
    path, question = tmp_path / "pages", {"source": "p"}
    first = Spool(path, question)
    first.open()
    first.add({"id": ["a"]}, 1, "t1")
    assert list(first.pages()) == [{"id": ["a"]}]
    before = path.read_bytes()
    for other in (question, {"source": "q"}):
        with pytest.raises(OSError, match="in use by another export"):
            Spool(path, other).open()
    assert path.read_bytes() == before
    first.close()
    second = Spool(path, question)
    second.open()
    assert (second.count, second.token) == (1, "t1")
    second.add({"id": ["b"]}, 1, None)
    assert list(second.pages()) == [{"id": ["a"]}, {"id": ["b"]}]
    second.delete()
    assert not path.exists()


def test_pages_deleted_at_the_moment_of_opening_are_started_anew(tmp_path, monkeypatch):
    """The other export has finished: its file has no name any more."""
    path, question = tmp_path / "pages", {"source": "p"}
    other = Spool(path, question)
    other.open()
    other.add({"id": ["a"]}, 1, None)

    def lock_after_the_other(descriptor):
        monkeypatch.setattr("kognitos_async.cli.spool.lock", lock)
        other.delete()
        lock(descriptor)

    monkeypatch.setattr("kognitos_async.cli.spool.lock", lock_after_the_other)
    spool = Spool(path, question)
    spool.open()
    spool.add({"id": ["b"]}, 1, None)
    assert list(spool.pages()) == [{"id": ["b"]}]
    assert path.exists()
    spool.close()


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def no_locks(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("kognitos_async.cli.spool.lock", no_locks)
    spool = Spool(tmp_path / "pages", {"source": "p"})
    spool.open()
    spool.add({"id": ["a"]}, 1, None)
    assert list(spool.pages()) == [{"id": ["a"]}]
    spool.close()


def test_the_pages_of_another_export_are_left_alone(tmp_path):
    path = tmp_path / "pages"
    one = Spool(path, {"source": "p"})
    one.open()
    one.add({"id": ["a"]}, 1, "t1")
    one.close()
    before = path.read_bytes()
    with pytest.raises(OSError, match="another unfinished export"):
        Spool(path, {"source": "q"}).open()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("found", "type", "written"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1, None, 2.5], "double", [1.0, None, 2.5]),
        ([0.5, 2.0], "double", [0.5, 2.0]),
        ([True, False], "bool", [True, False]),
        ([True, 1], "string", ["true", "1"]),
        ([2**70, -1], "decimal128(22, 0)", [Decimal(2**70), Decimal(-1)]),
        ([2**200], "string", [str(2**200)]),
        ([Decimal("1.50"), 7], "decimal128(3, 2)", [Decimal("1.50"), Decimal("7.00")]),
        ([Decimal("1.50"), 0.5], "string", ["1.50", "0.5"]),
        ([TIME], "timestamp[us, tz=UTC]", [TIME]),
        ([TIME.replace(tzinfo=None)], "string", ["2026-01-05T12:00:00"]),
        ([date(2026, 1, 5)], "date32[day]", [date(2026, 1, 5)]),
        (["a", 1, None], "string", ["a", "1", None]),
        ([{"b": [1]}], "string", ['{"b":[1]}']),
        ([None], "string", [None]),
    ],
)
def test_a_name_has_the_narrowest_type_for_all_its_values(found, type, written):
    arrow = pytest.importorskip("pyarrow")
    types = SeenTypes(["id", "outputs"])
    for value in found:  # a page for each, so that the type is that of all pages
        types.see({"id": ["a"], "outputs": [{"x": value}]})
    chosen, convert = types["outputs"]["x"].resolve(arrow)
    assert str(chosen) == type
    values = found if convert is None else [value if value is None else convert(value) for value in found]
    assert arrow.array(values, chosen).to_pylist() == written


def test_names_are_those_of_all_pages_in_order():
    types = SeenTypes(["id", "inputs", "outputs"])
    types.see({"id": ["a"], "inputs": [None], "outputs": [{"b": 1}]})
    types.see({"id": ["b"], "inputs": [{}], "outputs": [{"a": "x", "b": None}]})
    assert types.names() == {"inputs": [], "outputs": ["a", "b"]}
    assert list(types["outputs"]) == ["a", "b"]
