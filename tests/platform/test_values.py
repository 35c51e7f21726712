"""Values: exact both ways, or refused, or kept as they came."""

from __future__ import annotations

import base64
import random
import sys
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import FileRef, Table, UnknownValue, from_value, to_value
from kognitos_async.platform_v1.models import FileMetadata
from kognitos_async.platform_v1.values import from_values, to_values

LARGEST = 2**96 - 1
BERLIN = ZoneInfo("Europe/Berlin")
DAY = {"year": 2026, "month": 1, "day": 2}


def wire(obj):
    """As the API gets and gives it: through JSON."""
    return msgspec.json.decode(msgspec.json.encode(to_value(obj)))


def back(obj):
    return from_value(wire(obj))


numbers = st.one_of(
    st.integers(-LARGEST, LARGEST),
    st.builds(
        lambda mantissa, scale, negative: Decimal((int(negative), tuple(map(int, str(mantissa))), -scale)),
        st.integers(0, LARGEST),
        st.integers(0, 28),
        st.booleans(),
    ),
)
offsets = st.integers(-18 * 3600, 18 * 3600).map(lambda s: timezone(timedelta(seconds=s)))
moments = st.datetimes(
    timezones=st.one_of(st.none(), offsets, st.just(UTC), st.just(BERLIN)), allow_imaginary=False
)
hashables = st.one_of(
    numbers,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    moments.filter(lambda moment: not moment.fold),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        hashables,
        st.just(BERLIN),
        st.builds(FileRef, st.text("abc/", min_size=1)),
        st.builds(FileRef, st.none(), st.text("abc.", min_size=1), st.binary()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.sets(hashables, max_size=4),
    ),
    max_leaves=12,
)


def same(one, other):
    """Equal, of one type, and numbers of one scale, all the way down."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, Decimal) and one == one.to_integral_value() and one.as_tuple().exponent == 0:
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, datetime):
        return one == other and one.utcoffset() == other.utcoffset()
    return one == other


@given(values)
def test_what_is_written_is_read_again(value):
    """Exactly, through JSON, nested as it may be."""
    assert same(value, back(value))


@given(values)
def test_what_is_written_is_as_the_api_describes_it(value):
    """By the schema of the vendor's own OpenAPI file."""
    VALUE.validate(wire(value))


def _validator():
    text = resources.files("kognitos_async.testing").joinpath("platform.openapi.json").read_bytes()
    document = msgspec.json.decode(text)
    return jsonschema.Draft202012Validator({**document, "$ref": "#/components/schemas/commonV1Value"})


VALUE = _validator()


@pytest.mark.parametrize("scale", range(29))
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_of_every_scale(scale, sign):
    """96 bits, wherever the point stands."""
    number = Decimal(f"{sign * LARGEST}E-{scale}")
    members = wire(number)["number"]
    mantissa = members["lo"] + (members["mid"] << 32) + (members["hi"] << 64)
    assert mantissa == LARGEST
    assert members.get("flags", 0) == scale << 16 | (1 << 31 if sign < 0 else 0)
    assert Decimal(back(number)).as_tuple() == number.as_tuple()


def test_ten_thousand_random_decimals():
    """Of all sizes and scales."""
    chance = random.Random(96)
    for _ in range(10_000):
        mantissa, scale = chance.getrandbits(chance.randint(1, 96)), chance.randint(1, 28)
        number = Decimal((chance.randint(0, 1), tuple(map(int, str(mantissa))), -scale))
        assert back(number).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    ("number", "read"),
    [
        (0, 0),
        (-1, -1),
        (0.1, Decimal("0.1")),
        (1e22, 10**22),
        (2.5e-20, Decimal("2.5E-20")),
        (-0.0, Decimal("-0.0")),
        (Decimal("5.00"), Decimal("5.00")),
        (Decimal("1E+3"), 1000),
        (Decimal("1.10E-28"), Decimal("1.1E-28")),
        (Decimal("0E-40"), 0),
        (Decimal("0E+40"), 0),
    ],
)
def test_numbers_by_name(number, read):
    """Floats by their repr, trailing zeros dropped only where they do not fit."""
    if number == Decimal("1.10E-28"):
        with pytest.raises(ValueError, match="does not fit"):
            to_value(number)
    else:
        assert same(back(number), read) or back(number) == read


@pytest.mark.parametrize(
    "number",
    [
        2**96,
        -(2**96),
        Decimal("1E-29"),
        Decimal(f"{2**96}.1"),
        Decimal("1E+29"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        1e300,
        5e-324,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        Decimal("sNaN"),
        10**60,
    ],
    ids=str,
)
def test_numbers_that_do_not_fit_are_refused(number):
    """Nothing is rounded."""
    with pytest.raises(ValueError, match=r"does not fit|finite"):
        to_value(number)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"hologram": {"x": 1}},
        {"text": "a", "bool_value": True},
        {"text": 3},
        {"bool_value": "true"},
        {"number": {"lo": -1}},
        {"number": {"lo": 2**32}},
        {"number": {"lo": "x"}},
        {"number": {"lo": 1, "flags": 29 << 16}},
        {"number": {"lo": 1, "flags": 1}},
        {"number": {"lo": 1, "ultra": 2}},
        {"date": {"year": 2026}},
        {"date": {"year": 2026, "month": 2, "day": 30}},
        {"timeofday": {"hours": 24}},
        {"timeofday": {"seconds": 60}},
        {"timeofday": {"nanos": 1}},
        {"duration": "1.0000001s"},
        {"duration": "1 s"},
        {"duration": "99999999999999s"},
        {"duration": 3},
        {"datetime": {"year": 2026, "month": 1, "day": 1, "utc_offset": "0s", "time_zone": {"id": "UTC"}}},
        {"datetime": {"year": 2026, "month": 1, "day": 1, "time_zone": {"id": "Europe"}}},
        {"time_zone": {"id": "Nowhere/None"}},
        {"time_zone": {"id": "Europe/Berlin", "version": "2019a"}},
        {"list": {"items": [3]}},
        {"list": 3},
        {"set": {"items": [{"bool_value": True}, {"number": {"lo": 1}}]}},
        {"set": {"items": [{"number": {"lo": 1}}, {"number": {"lo": 10, "flags": 65536}}]}},
        {"set": {"items": [{"list": {}}]}},
        {
            "dictionary": {
                "entries": [
                    {
                        "key": {"datetime": {**DAY, "hours": 10, "utc_offset": "7200s"}},
                        "value": {"text": "x"},
                    },
                    {"key": {"datetime": {**DAY, "hours": 8, "utc_offset": "0s"}}, "value": {"text": "y"}},
                ]
            }
        },
        {"dictionary": {"entries": [{"key": {"null_value": None}, "value": {"text": "x"}}]}},
        {"dictionary": {"entries": [{"key": {"text": "a"}}]}},
        {"file": {}},
        {"file": {"inline": {"content": "*"}}},
        {"table": {"inline": 3}},
        {"table": {}},
    ],
    ids=str,
)
def test_what_python_cannot_hold_is_kept_as_it_came(value):
    """Never a wrong value, never an error, and given back unchanged."""
    read = from_value(value)
    assert read == UnknownValue(value)
    assert to_value(read) == value
    assert from_value({"list": {"items": [{"text": "a"}, value]}}) == ["a", read]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"null_value": None}, None),
        ({"null_value": "anything"}, None),
        ({"number": {}}, 0),
        ({"number": {"lo": "7", "flags": "131072"}}, Decimal("0.07")),
        ({"number": {"lo": 7, "flags": -2147483648}}, -7),
        ({"number": {"flags": 1 << 31}}, Decimal("-0")),
        ({"text": ""}, ""),
        ({"timeofday": {}}, time()),
        ({"duration": "-3600.5s"}, timedelta(hours=-1, microseconds=-500_000)),
        ({"duration": "0.123456000s"}, timedelta(microseconds=123_456)),
        ({"date": {"year": "2026", "month": 2, "day": 3}}, date(2026, 2, 3)),
        (
            {"datetime": {"year": 2026, "month": 1, "day": 2, "hours": 3, "utc_offset": "-18000s"}},
            datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5))),
        ),
        ({"list": {}}, []),
        ({"list": {"items": None}}, []),
        ({"set": {}}, set()),
        ({"dictionary": {}}, {}),
        (
            {
                "dictionary": {
                    "entries": [
                        {"key": {"text": "a"}, "value": {"number": {"lo": 1}}},
                        {"key": {"text": "a"}, "value": {"number": {"lo": 2}}},
                    ]
                }
            },
            {"a": 2},
        ),
        ({"file": {"remote": "organizations/o/files/f"}}, FileRef("organizations/o/files/f")),
        ({"file": {"inline": {"content": "aGk="}}}, FileRef(content=b"hi")),
        ({"table": {"remote": "https://x/t"}}, Table(url="https://x/t")),
    ],
    ids=str,
)
def test_the_forms_in_which_values_come(value, read):
    """Members of zero left out, integers as text, null for nothing."""
    found = from_value(value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("value", [3, "text", None, [], b"x"])
def test_what_is_no_object_is_no_value(value):
    """The only thing that reading refuses."""
    with pytest.raises(TypeError, match="mapping"):
        from_value(value)


@pytest.mark.parametrize(
    ("obj", "kind", "says"),
    [
        (b"bytes", TypeError, "FileSource"),
        (Path("invoice.pdf"), TypeError, "FileSource"),
        (FileMetadata(name="organizations/o/files/f"), TypeError, "file_ref"),
        (object(), TypeError, "got object"),
        ({(1, 2): 3}, TypeError, "got tuple"),
        ({None: 3}, TypeError, "NoneType"),
        ("\ud800", ValueError, "surrogates"),
        (time(1, tzinfo=UTC), ValueError, "without a zone"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=19))), ValueError, "18 hours"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(microseconds=5))), ValueError, "whole seconds"),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), ValueError, "fixed offset"),
        (FileRef(), ValueError, "either"),
        (FileRef("a", content=b""), ValueError, "either"),
        (Table(), ValueError, "either"),
    ],
)
def test_what_cannot_be_written_is_refused(obj, kind, says):
    """With the reason; as an input with its name."""
    with pytest.raises(kind, match=says):
        to_value(obj)
    with pytest.raises(kind, match=r"inputs\['x'\]"):
        to_values({"x": obj})


def test_a_list_that_holds_itself_is_refused():
    """As is what is nested beyond a hundred levels; when read it is kept as it came."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested"):
        to_value(endless)
    deep = {"text": "x"}
    for _ in range(150):
        deep = {"list": {"items": [deep]}}
    read = from_value(deep)
    assert to_value(to_reading(read)) == deep


def to_reading(read):
    """The innermost unknown value lies deeper than may be written: put the levels around it again."""
    levels = 0
    while isinstance(read, list):
        [read] = read
        levels += 1
    value = read.raw
    for _ in range(levels):
        value = {"list": {"items": [value]}}
    return UnknownValue(value)


class Colour(Enum):
    RED = "red"
    BLUE = 3
    NONE = None


class Text(str, Enum):  # noqa: UP042 - what older programs have
    A = "a"


class Loud(float):
    def __repr__(self):
        return f"np.float64({float(self)!r})"


class Index:
    def __repr__(self):
        return "Index()"

    def __index__(self):
        return 7


class Quiet(str):  # noqa: SLOT000 - as plain as they come
    def __str__(self):
        return "other"


STAND_INS = [
    (Colour.RED, {"text": "red"}),
    (Colour.BLUE, {"number": {"lo": 3}}),
    (Colour.NONE, {"null_value": "NULL_VALUE"}),
    (Text.A, {"text": "a"}),
    (Loud(0.5), {"number": {"lo": 5, "flags": 1 << 16}}),
    (Index(), {"number": {"lo": 7}}),
    (Quiet("mine"), {"text": "mine"}),
]


@pytest.mark.parametrize(("obj", "written"), STAND_INS, ids=lambda value: type(value).__name__)
def test_what_stands_for_a_scalar_is_written_as_that(obj, written):
    """Members of enumerations, subclasses, and what counts as a whole number; in lists and as keys too."""
    assert to_value(obj) == written
    assert to_value([obj]) == {"list": {"items": [written]}}
    if obj is not Colour.NONE:
        assert to_value({obj: 1})["dictionary"]["entries"][0]["key"] == written


def test_scalars_of_numpy_are_written_exactly():
    """As the decimal they show; what Python cannot hold is refused."""
    numpy = pytest.importorskip("numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of newer versions of numpy
        without_unit = numpy.timedelta64(5)
    for obj, plain in (
        (numpy.float64(0.1), Decimal("0.1")),
        (numpy.float32(0.1), Decimal("0.1")),
        (numpy.longdouble("0.1"), Decimal("0.1")),
        (numpy.int64(-3), -3),
        (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.bool_(True), True),
        (numpy.str_("a"), "a"),
        (numpy.array(5), 5),
        (numpy.datetime64("2026-01-02"), date(2026, 1, 2)),
        (numpy.datetime64("2026-01-02T03:04:05.000006000", "ns"), datetime(2026, 1, 2, 3, 4, 5, 6)),
        (numpy.timedelta64(1500, "ms"), timedelta(seconds=1.5)),
    ):
        assert to_value(obj) == to_value(plain), repr(obj)
    for obj, says in (
        (numpy.float64("nan"), "finite"),
        (numpy.datetime64("NaT", "s"), "NaT"),
        (numpy.datetime64("2026-01-02T00:00:00.000000001"), "whole microseconds"),
        (numpy.timedelta64(1, "ns"), "whole microseconds"),
        (numpy.datetime64("20000-01-01"), "within the range"),
        (numpy.datetime64("20000-01-01T00:00:00"), "within the range"),
        (numpy.timedelta64(10**14, "s"), "within the range"),
        (numpy.timedelta64(5, "Y"), "smaller unit"),
        (without_unit, "smaller unit"),
        (numpy.array([1]), "tolist"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            to_value(obj)


def test_times_of_pandas_keep_their_nanoseconds_or_are_refused():
    """They are subclasses of Python's, and NaT passes for a datetime."""
    pandas = pytest.importorskip("pandas")
    assert to_value(pandas.Timestamp("2026-01-02")) == to_value(datetime(2026, 1, 2))
    assert to_value(pandas.Timedelta("1s")) == to_value(timedelta(seconds=1))
    for obj, says in (
        (pandas.Timestamp("2026-01-02T00:00:00.000000001"), "whole microseconds"),
        (pandas.Timedelta("1ns"), "whole microseconds"),
        (pandas.NaT, "NaT"),
    ):
        with pytest.raises(ValueError, match=says):
            to_value(obj)


@pytest.mark.parametrize("inputs", [3, [("a", 1)], {3: 1}, {"": 1}])
def test_inputs_are_named(inputs):
    """A mapping of names that are text."""
    with pytest.raises((TypeError, ValueError), match="input"):
        to_values(inputs)


def test_outputs_are_read_by_name():
    """What is no value at all does no harm to its neighbours."""
    assert from_values({"a": {"text": "x"}, "b": 3}) == {"a": "x", "b": UnknownValue({"": 3})}


def test_contents_stay_out_of_reprs():
    """Files may be secret, and large."""
    assert "c2Vj" not in repr(FileRef(content=b"secret"))
    assert "secret" not in repr(FileRef(content=b"secret")) + repr(Table(b"secret"))


# Tables


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
