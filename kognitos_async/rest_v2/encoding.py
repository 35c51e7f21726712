"""Bodies of starts, encoded from their arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async import checks
from kognitos_async.rest_v2.models import RunInput, Stage

if TYPE_CHECKING:
    from kognitos_async.rest_v2.models import RunRequest

LONGEST_NAME = 100

_encode = msgspec.json.Encoder().encode


def encode_start(request: RunRequest, agent_id: str, uploaded: Sequence[str] = ()) -> bytes:
    """The body of create_run. Raises `TypeError` or `ValueError` naming the invalid argument.

    `uploaded` are the ids of the request's files, or placeholders for them.
    """
    body: dict[str, Any] = {
        "name": checks.text("name", request.name, longest=LONGEST_NAME),
        "process_id": checks.identifier("process_id", request.process_id),
        "agent_id": agent_id,
        "stage": stage_word(request.stage),
    }
    if request.inputs:
        body["inputs"] = encode_inputs(request.inputs)
    elif request.inputs is not None and not isinstance(request.inputs, Mapping | Sequence):
        raise _wrong_inputs(request.inputs)
    ids = [] if request.file_ids is None else _file_ids(request.file_ids)
    if ids := [*ids, *uploaded]:
        body["file_ids"] = ids
    return _encode(body)


def stage_word(stage: object) -> str:
    """The stage as the API spells it. Raises `TypeError` or `ValueError` for any other."""
    if not isinstance(stage, str):
        raise TypeError(f"stage must be a Stage or str, got {type(stage).__name__}")
    if stage not in (Stage.DRAFT, Stage.PUBLISHED):
        raise ValueError(f"stage must be {Stage.DRAFT} or {Stage.PUBLISHED}, got {str(stage)!r}")
    return str(stage)


def encode_inputs(inputs: object) -> list[dict[str, Any]]:
    """Inputs as the API's list, from a mapping or a sequence of `RunInput`."""
    pairs: list[tuple[object, object]]
    if isinstance(inputs, Mapping):
        pairs = list(inputs.items())
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes | bytearray):
        for item in inputs:
            if not isinstance(item, RunInput):
                raise TypeError(
                    f"inputs must be a sequence of RunInput, got an item of type {type(item).__name__}"
                )
        pairs = [(item.name, item.value) for item in inputs]
    else:
        raise _wrong_inputs(inputs)
    return [{"name": _input_name(name), "value": _input_value(name, value)} for name, value in pairs]


def _wrong_inputs(inputs: object) -> TypeError:
    return TypeError(f"inputs must be a mapping or a sequence of RunInput, got {type(inputs).__name__}")


def _input_name(name: object) -> str:
    return checks.text("an input's name", name, longest=LONGEST_NAME)


def _input_value(name: object, value: object) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"inputs[{name!r}] must be a str, int or float, got {type(value).__name__}")
    if isinstance(value, str):
        if value:
            checks.text(f"inputs[{name!r}]", value)
        return str(value)  # plain text of a str subclass such as StrEnum
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"inputs[{name!r}] must be a finite number, got {value}")
        return float(value)
    return int(value)


def _file_ids(file_ids: object) -> list[str]:
    if isinstance(file_ids, str | bytes) or not isinstance(file_ids, Sequence):
        raise TypeError(f"file_ids must be a sequence of str, got {type(file_ids).__name__}")
    return [checks.text("an item of file_ids", item) for item in file_ids]
