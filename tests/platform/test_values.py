"""Values: exact both ways, or refused, or kept as they came."""

from __future__ import annotations

import base64
import random
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib import resources
from zoneinfo import ZoneInfo

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import FileRef, Table, UnknownValue, from_value, to_value
from kognitos_async.platform_v1.values import from_values, to_values

LARGEST = 2**96 - 1
BERLIN = ZoneInfo("Europe/Berlin")


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
        {"set": {"items": [{"list": {}}]}},
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
        (b"bytes", TypeError, "FileRef"),
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
    """Types, nulls and all."""
    table = pa.table({"n": pa.array([1, None, 3], pa.int16()), "s": ["a", "b", None]})
    assert back(table).equals(table)
    assert back([table])[0].schema == table.schema
    batch = table.to_batches()[0]
    assert back(batch).equals(table)


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


def test_bytes_that_are_no_table_are_kept():
    """Until somebody wants a table of them."""
    read = from_value({"table": {"inline": "aGVsbG8="}})
    assert read == Table(b"hello")
    assert to_value(read) == {"table": {"inline": "aGVsbG8="}}


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
            {"date_value": {"year": 0}},
            {"hologram": 1},
            3,
        ]
    }
    with pytest.raises(ImportError, match="arrow"):
        read.to_arrow()


@pytest.mark.parametrize(
    "columns", [[3], [{"values": []}], [{"name": "a"}, {"name": "a"}], [{"name": "a", "values": 3}]]
)
def test_columns_that_are_none_are_kept_as_they_came(columns):
    """Two of one name would lose one."""
    value = {"table": {"inline": {"columns": columns}}}
    assert from_value(value) == UnknownValue(value)
