"""Values: exact both ways, or refused, or kept as they came."""

from __future__ import annotations

import random
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import FileRef, Table, UnknownValue, from_value, to_value
from kognitos_async.platform_v1.models import FileMetadata
from kognitos_async.platform_v1.values import from_values, to_values
from tests.platform.wire import VALUE, back, wire

LARGEST = 2**96 - 1
BERLIN = ZoneInfo("Europe/Berlin")
DAY = {"year": 2026, "month": 1, "day": 2}


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
