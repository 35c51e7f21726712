"""Tables: every cell exact both ways, or refused, or kept as it came."""

from __future__ import annotations

import base64
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from kognitos_async import FileRef, Table, UnknownValue, from_value, to_value
from tests.platform.wire import VALUE, back, wire


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


def test_arrow_tables_make_the_round_trip(pa):
    """Cell for cell, nulls and all, as the columns of the API's schema."""
    table = pa.table({"n": pa.array([1, None, 3], pa.int16()), "s": ["a", "b", None]})
    assert back(table).to_pylist() == back([table])[0].to_pylist() == table.to_pylist()
    assert back(table.to_batches()[0]).to_pylist() == table.to_pylist()
    VALUE.validate(wire(table))
    assert wire(table)["table"]["inline"]["columns"][0] == {
        "name": "n",
        "values": [{"number_value": 1}, {"null_value": "NULL_VALUE"}, {"number_value": 3}],
    }
    assert back(Table(data=ipc(pa, table))).to_pylist() == table.to_pylist()
    assert back(Table(url="https://x/t.feather")) == Table(url="https://x/t.feather")


def ipc(pa, table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


def test_feather_files_are_read(pa, tmp_path):
    """The bytes that a remote table's URL gives."""
    from pyarrow import feather  # noqa: PLC0415

    table = pa.table({"n": [1.5, None]})
    feather.write_feather(table, tmp_path / "t")
    assert Table(data=(tmp_path / "t").read_bytes()).to_pylist() == table.to_pylist()


CELLS = [
    None,
    True,
    7,
    1.5,
    "text",
    "",
    b"bytes",
    datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC),
    date(2026, 1, 2),
    time(3, 4, 5, 6),
    ["x", None, [1]],
    {"k": 1, "inner": {"a": [True]}},
    FileRef("organizations/o/files/f"),
    UnknownValue({"conceptual_value": {"head": "invoice"}}),
]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cells_of_every_kind_make_the_round_trip(cell):
    """Beside one of another kind, which no column of Arrow could hold exactly."""
    value = wire(Table(columns={"a column": [cell, "N/A"], "b": [1, 2]}))
    VALUE.validate(value)
    read = from_value(value)
    assert read.to_pylist() == [{"a column": cell, "b": 1}, {"a column": "N/A", "b": 2}]
    assert type(read.to_pylist()[0]["a column"]) is type(cell)
    assert wire(read) == value


@pytest.mark.parametrize(
    ("cells", "kind", "says"),
    [
        ([2**53 + 1], ValueError, "a double holds exactly"),
        ([Decimal("1.12345678901234567890")], ValueError, "a double holds exactly"),
        ([10**400], ValueError, "within a double"),
        ([float("nan")], ValueError, "finite"),
        ([datetime(2026, 1, 1)], ValueError, "time zone"),
        ([time(1, tzinfo=UTC)], ValueError, "without a zone"),
        ([timedelta(1)], TypeError, "got timedelta"),
        ([{3: 1}], TypeError, "a key of a dict"),
        (["\ud800"], ValueError, "surrogates"),
        ([{"\ud800": 1}], ValueError, "a key of a dict in a table must be text"),
        ([1, 2], ValueError, "of one length"),
        ("x", TypeError, "must be a list"),
    ],
    ids=str,
)
def test_cells_that_cannot_be_held_exactly_are_refused(cells, kind, says):
    """With the column; a table's numbers are doubles."""
    with pytest.raises(kind, match=says) as caught:
        to_value(Table(columns={"qty": cells, "b": [1]}))
    assert "qty" in str(caught.value)


def test_a_decimal_that_shows_as_its_double_is_a_cell():
    """Amounts in cents are, and so are whole numbers of a double's range."""
    columns = {"amount": [Decimal("12.10"), Decimal("0.1"), Decimal(3), 2**53]}
    assert from_value(wire(Table(columns=columns))).to_pylist()[0] == {"amount": 12.1}


def column(*cells):
    return {"table": {"inline": {"columns": [{"name": "c", "values": list(cells)}]}}}


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (({"number_value": 1.5}, {"boolean_value": True}), [1.5, True]),
        (({"boolean_value": False}, {"number_value": 2}), [False, 2]),
        (({"number_value": 1}, {"text_value": "N/A"}), [1, "N/A"]),
        (({"number_value": 1.5}, {"null_value": "NULL_VALUE"}), [1.5, None]),
        (({"dictionary_value": {"fields": []}}, {"list_value": {}}), [{}, []]),
    ],
)
def test_mixed_columns_are_read_as_they_are(pa, cells, read):
    """Whatever class the table has: what Arrow would convert stays outside of it."""
    found = from_value(column(*cells))
    rows = [row["c"] for row in found.to_pylist()]
    assert rows == read
    assert [isinstance(cell, bool) for cell in rows] == [isinstance(cell, bool) for cell in read]
    assert found.to_pydict() == {"c": read}
    assert (found.column_names, found.num_rows) == (["c"], len(read))
    assert from_value(to_value(found)).to_pydict() == {"c": read}


@pytest.mark.parametrize(
    "cell",
    [
        {"datetime_value": "2026-01-01T00:00:00.123456789Z"},
        {"time_value": {"nanos": 1}},
        {"number_value": "NaN"},
        {"number_value": True},
        {"text_value": 3},
        {"opaque_value": {"content": "aGk=", "is_a": []}},
        {"dictionary_value": {"fields": [{"key": "k"}]}},
        {"date_value": {"year": 0}},
        {"hologram": 1},
        {},
    ],
    ids=str,
)
def test_cells_that_python_cannot_hold_are_kept_as_they_came(cell):
    """Nanoseconds among them, which are neither cut nor rounded; they are given back unchanged."""
    read = from_value(column(cell, {"text_value": "x"}))
    assert read.to_pydict() == {"c": [UnknownValue(cell), "x"]}
    assert to_value(read) == column(cell, {"text_value": "x"})


# pyarrow before 26 reads pandas' columns in a way that pandas 3.1 announces to change.
@pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Series.values returning:FutureWarning")
def test_frames_of_other_libraries_are_tables(pa):
    """By way of Arrow, those of pandas and polars; what Arrow does not take along is refused."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    frame = pandas.DataFrame(rows)
    for given_frame in (frame, polars.DataFrame(rows), frame[frame["a"] > 0]):
        assert back(given_frame).to_pylist() == rows
    with pytest.raises(ValueError, match="reset_index"):
        to_value(frame.set_index("b"))
    with pytest.raises(TypeError, match=r"give a.* list"):
        to_value(frame["a"])
    with pytest.raises(TypeError, match="collect"):
        to_value(polars.DataFrame(rows).lazy())
    fine = pandas.DataFrame({"t": pandas.to_datetime(["2026-01-01T00:00:00.000000001Z"])})
    with pytest.raises(ValueError, match="column 't': a time must have whole microseconds"):
        to_value(fine)
    with pytest.raises(ValueError, match="time zone"):
        to_value(pandas.DataFrame({"t": pandas.to_datetime(["2026-01-01"])}))


def cells_of(frame):
    [column] = wire(frame)["table"]["inline"]["columns"]
    return column["values"]


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        ([1, "N/A", True], [{"number_value": 1}, {"text_value": "N/A"}, {"boolean_value": True}]),
        (["x", b"y"], [{"text_value": "x"}, {"opaque_value": {"content": "eQ=="}}]),
        (
            ["x", None, float("nan")],
            [{"text_value": "x"}, {"null_value": "NULL_VALUE"}, {"null_value": "NULL_VALUE"}],
        ),
        (
            [date(2026, 1, 2), datetime(2026, 1, 2, 3, tzinfo=UTC)],
            [
                {"date_value": {"year": 2026, "month": 1, "day": 2}},
                {"datetime_value": "2026-01-02T03:00:00Z"},
            ],
        ),
        (
            [{"x": 1}, {"y": 2}],
            [
                {"dictionary_value": {"fields": [{"key": "x", "value": {"number_value": 1}}]}},
                {"dictionary_value": {"fields": [{"key": "y", "value": {"number_value": 2}}]}},
            ],
        ),
    ],
)
def test_cells_of_objects_stay_what_they_are(pa, cells, written):
    """Arrow has one type a column: it would make a date of a datetime beside one, and bytes of text."""
    pandas = pytest.importorskip("pandas")
    assert cells_of(pandas.DataFrame({"c": pandas.Series(cells, dtype=object)})) == written


def test_categories_that_are_objects_stay_what_they_are(pa):
    """Like cells of objects."""
    pandas = pytest.importorskip("pandas")
    times = pandas.Series([date(2026, 1, 2), datetime(2026, 1, 2, 3, tzinfo=UTC), None], dtype=object)
    frame = pandas.DataFrame({"c": times})
    assert cells_of(frame.astype("category")) == cells_of(frame)
    words = pandas.DataFrame({"c": ["a", None, "b"]})
    assert cells_of(words.astype("category")) == cells_of(words)


def test_arrays_in_cells_of_objects_are_lists(pa):
    """Of what they hold: their own lists have numbers for times."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    array = numpy.array(["2026-01-02"], dtype="datetime64[D]")
    [cell] = cells_of(pandas.DataFrame({"c": pandas.Series([array], dtype=object)}))
    assert cell == {"list_value": {"values": [{"date_value": {"year": 2026, "month": 1, "day": 2}}]}}


def test_frames_with_cells_that_would_change_are_refused(pa):
    """A naive time beside an aware one, a period, a number or a date beyond Python's."""
    pandas = pytest.importorskip("pandas")
    mixed = pandas.Series([datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2)], dtype=object)
    with pytest.raises(ValueError, match="column 'c': a datetime in a table must have a time zone"):
        to_value(pandas.DataFrame({"c": mixed}))
    with pytest.raises(TypeError, match=r"column 'c': .*period"):
        to_value(pandas.DataFrame({"c": pandas.period_range("2026", periods=1, freq="M")}))
    with pytest.raises(ValueError, match="column 'c': a number"):
        to_value(pandas.DataFrame({"c": pandas.Series([1, 2**70 + 1], dtype=object)}))
    with pytest.raises(ValueError, match="column 'c': a date must be within"):
        to_value(pa.table({"c": pa.array([10**17], type=pa.timestamp("s", "UTC"))}))
    with pytest.raises(ValueError, match="'c' twice"):
        to_value(pandas.DataFrame([[1, 2]], columns=["c", "c"]))


@pytest.mark.parametrize("cells", [{0: 1.5, 1: 2.5}, {1.5, 2.5}])
def test_columns_without_an_order_are_refused(cells):
    """`DataFrame.to_dict()` makes dicts of columns: their keys are not the cells."""
    with pytest.raises(TypeError, match="column 'c' must be a list"):
        to_value(Table(columns={"c": cells}))


def test_frames_without_pyarrow_say_what_to_install(pa, monkeypatch):
    """As an error of the argument, which a bulk job can tell of one request."""
    table = pa.table({"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TypeError, match=r"kognitos-async\[arrow\]"):
        to_value(table)
    with pytest.raises(TypeError, match=r"kognitos-async\[arrow\]"):
        to_value(Table(data=b"x"))
    assert to_value(Table(columns={"a": [1]})) == {
        "table": {"inline": {"columns": [{"name": "a", "values": [{"number_value": 1}]}]}}
    }


def test_tables_that_would_lose_a_column_are_refused(pa):
    """Two of one name."""
    with pytest.raises(ValueError, match="'a' twice"):
        to_value(pa.table([[1], [2]], names=["a", "a"]))


def test_tables_are_read_in_every_form(pa):
    """Streams and files of Arrow, beside a name for the bytes, and columns of plain values."""
    table = pa.table({"n": [1.0, 2.0], "s": ["a", None]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    text = base64.b64encode(bytes(sink.getvalue())).decode()
    for inline in (text, {"data": text}, {"content": text}):
        assert from_value({"table": {"inline": inline}}).equals(table)
    columns = [
        {"name": "n", "values": [{"number_value": 1.0}, {"number_value": 2.0}]},
        {"name": "s", "values": [{"text_value": "a"}, {"null_value": None}]},
    ]
    assert from_value({"table": {"inline": {"columns": columns}}}).equals(table)


def test_bytes_that_are_no_table_are_kept(pa):
    """Until somebody wants a table of them."""
    read = from_value({"table": {"inline": "aGVsbG8="}})
    assert read == Table(b"hello")
    with pytest.raises(ValueError, match="cannot read"):
        to_value(read)


def test_arrow_bytes_that_are_broken_say_so(pa):
    """When they are converted."""
    with pytest.raises(ValueError, match="cannot read"):
        Table(b"hello").to_arrow()
    with pytest.raises(ValueError, match="fetch it"):
        Table(url="https://x/t").to_arrow()


def test_without_pyarrow_a_table_holds_its_bytes(monkeypatch):
    """And its columns, and says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    read = from_value({"table": {"inline": "aGVsbG8="}})
    assert read == Table(b"hello")
    cells = [
        {"boolean_value": True},
        {"datetime_value": "2026-01-01T00:00:00Z"},
        {"date_value": {"year": 2026, "month": 1, "day": 2}},
        {"time_value": {"hours": 3}},
        {"list_value": {"values": [{"text_value": "x"}]}},
        {"dictionary_value": {"fields": [{"key": "k", "value": {"number_value": 1}}]}},
        {"date_value": {"year": 0}},
        {"hologram": 1},
        3,
    ]
    read = from_value({"table": {"inline": {"columns": [{"name": "c", "values": cells}]}}})
    assert read.columns == {
        "c": [
            True,
            datetime(2026, 1, 1, tzinfo=UTC),
            date(2026, 1, 2),
            time(3),
            ["x"],
            {"k": 1},
            UnknownValue({"date_value": {"year": 0}}),
            UnknownValue({"hologram": 1}),
            UnknownValue({"": 3}),
        ]
    }
    with pytest.raises(ImportError, match="arrow"):
        read.to_arrow()


@pytest.mark.parametrize(
    "columns",
    [
        [{"name": "a", "values": [{"number_value": 1}]}, {"name": "b", "values": []}],
        [{"name": "a", "kind": "x"}],
    ],
)
def test_columns_that_do_not_fit_together_are_kept_as_they_came(columns):
    """Of different lengths, or with members that would be lost."""
    value = {"table": {"inline": {"columns": columns}}}
    assert from_value(value) == UnknownValue(value)


@pytest.mark.parametrize(
    "columns", [[3], [{"values": []}], [{"name": "a"}, {"name": "a"}], [{"name": "a", "values": 3}]]
)
def test_columns_that_are_none_are_kept_as_they_came(columns):
    """Two of one name would lose one."""
    value = {"table": {"inline": {"columns": columns}}}
    assert from_value(value) == UnknownValue(value)
