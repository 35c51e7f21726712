"""The body of a start, and the validation of its arguments."""

from __future__ import annotations

import collections
import math
from enum import IntEnum, StrEnum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import RunInput, RunRequest, Stage
from kognitos_async.rest_v2.encoding import encode_start

text = st.text(min_size=1, max_size=100)
values = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def body(**arguments):
    request = RunRequest(**{"process_id": "p-1", "name": "Invoice 42", **arguments})
    return msgspec.json.decode(encode_start(request, "agent-1"))


def test_a_start_omits_missing_arguments():
    """Empty or missing inputs and files are omitted; the stage defaults to Published."""
    plain = {"name": "Invoice 42", "process_id": "p-1", "agent_id": "agent-1", "stage": "Published"}
    assert body() == plain
    assert body(inputs=None, file_ids=None) == plain
    assert body(inputs={}, file_ids=[]) == plain
    assert body(inputs=[], file_ids=()) == plain


@given(st.dictionaries(text, values, max_size=8))
def test_inputs_are_sent_unchanged_and_in_order(inputs):
    """Any text or finite number, given as a mapping or as RunInputs."""
    expected = [{"name": name, "value": value} for name, value in inputs.items()]
    from_mapping = body(inputs=inputs).get("inputs", [])
    assert from_mapping == expected
    assert [type(pair["value"]) for pair in from_mapping] == [type(value) for value in inputs.values()]
    pairs = [RunInput(name=name, value=value) for name, value in inputs.items()]
    assert body(inputs=pairs).get("inputs", []) == expected


def test_the_same_name_may_be_given_twice_as_run_inputs():
    """A sequence can repeat a name, unlike a mapping."""
    pairs = (RunInput(name="line", value="a"), RunInput(name="line", value="b"))
    assert [pair["value"] for pair in body(inputs=pairs)["inputs"]] == ["a", "b"]


def test_subclasses_of_text_and_numbers_are_sent_as_their_values():
    """Such as enums."""

    class Colour(StrEnum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    assert body(inputs={"c": Colour.RED, "l": Level.HIGH})["inputs"] == [
        {"name": "c", "value": "red"},
        {"name": "l", "value": 3},
    ]


def test_any_mapping_and_any_sequence_is_accepted():
    """Not only dict and list."""
    assert body(inputs=collections.OrderedDict(a=1), file_ids=("f1", "f2")) == {
        **body(),
        "inputs": [{"name": "a", "value": 1}],
        "file_ids": ["f1", "f2"],
    }


@pytest.mark.parametrize("stage", ["Draft", Stage.DRAFT])
def test_a_stage_is_a_str_or_a_member(stage):
    """Both are sent as the API's value."""
    assert body(stage=stage)["stage"] == "Draft"


class Odd:
    pass


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"name": ""}, ValueError, "name"),
        ({"name": "x" * 101}, ValueError, "name"),
        ({"name": 7}, TypeError, "name"),
        ({"name": None}, TypeError, "name"),
        ({"name": "\ud800"}, ValueError, "name"),
        ({"process_id": ""}, ValueError, "process_id"),
        ({"process_id": 7}, TypeError, "process_id"),
        ({"process_id": ".."}, ValueError, "process_id"),
        ({"stage": "published"}, ValueError, "stage"),
        ({"stage": ""}, ValueError, "stage"),
        ({"stage": Stage("Archived")}, ValueError, "stage"),
        ({"stage": None}, TypeError, "stage"),
        ({"inputs": {"n": True}}, TypeError, "inputs"),
        ({"inputs": {"n": math.nan}}, ValueError, "inputs"),
        ({"inputs": {"n": math.inf}}, ValueError, "inputs"),
        ({"inputs": {"n": -math.inf}}, ValueError, "inputs"),
        ({"inputs": {"n": None}}, TypeError, "inputs"),
        ({"inputs": {"n": b"bytes"}}, TypeError, "inputs"),
        ({"inputs": {"n": [1]}}, TypeError, "inputs"),
        ({"inputs": {"n": Odd()}}, TypeError, "inputs"),
        ({"inputs": {"n": "\udfff"}}, ValueError, "inputs"),
        ({"inputs": {"": 1}}, ValueError, "input"),
        ({"inputs": {"x" * 101: 1}}, ValueError, "input"),
        ({"inputs": {1: 1}}, TypeError, "input"),
        ({"inputs": [("n", 1)]}, TypeError, "inputs"),
        ({"inputs": [{"name": "n", "value": 1}]}, TypeError, "inputs"),
        ({"inputs": "n=1"}, TypeError, "inputs"),
        ({"inputs": b"n"}, TypeError, "inputs"),
        ({"inputs": 7}, TypeError, "inputs"),
        ({"inputs": 0}, TypeError, "inputs"),
        ({"inputs": {1, 2}}, TypeError, "inputs"),
        ({"inputs": [RunInput(name="n", value=True)]}, TypeError, "inputs"),
        ({"file_ids": "f1"}, TypeError, "file_ids"),
        ({"file_ids": b"f1"}, TypeError, "file_ids"),
        ({"file_ids": 7}, TypeError, "file_ids"),
        ({"file_ids": [7]}, TypeError, "file_ids"),
        ({"file_ids": [""]}, ValueError, "file_ids"),
        ({"file_ids": {"f1"}}, TypeError, "file_ids"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, error, named):
    """ValueError or TypeError says which argument is at fault."""
    with pytest.raises(error, match=named):
        body(**arguments)


@given(st.text(min_size=1, max_size=100))
def test_names_of_1_to_100_characters_are_sent_unchanged(name):
    """The limit counts characters, not bytes."""
    assert body(name=name)["name"] == name


def test_integers_larger_than_64_bits_are_sent_in_full():
    """JSON has no limit on integers."""
    big = 10**40
    assert f"{big}".encode() in encode_start(
        RunRequest(process_id="p", name="n", inputs={"big": big, "negative": -big}), "a"
    )
