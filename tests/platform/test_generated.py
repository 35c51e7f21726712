"""The generated structs: up to date, and able to read what the vendor's document allows and more."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kognitos_async
from kognitos_async.open_enum import Word
from kognitos_async.platform_v1 import models
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.models import generated
from kognitos_async.platform_v1.models.generated import exceptions
from kognitos_async.platform_v1.models.generated.books import BookValue, Expression
from kognitos_async.platform_v1.models.generated.shared import ValueType
from tests.platform.spec import SCHEMAS

PLAIN = {"commonV1Value": {"text": "a value"}, "v1RunState": {"executing": {}}}
"""Samples of what stays as JSON has it."""
ROOT = Path(kognitos_async.__file__).parent.parent
GENERATOR = ROOT / ".ci" / "generate_platform.py"
MODULES = sorted(path.stem for path in Path(generated.__path__[0]).glob("*.py") if path.stem != "__init__")


def classes(module):
    found = importlib.import_module(f"{generated.__name__}.{module}")
    return {
        name: kind for name, kind in vars(found).items() if getattr(kind, "__module__", "") == found.__name__
    }


def loaded():
    """The generator as a module."""
    spec = importlib.util.spec_from_file_location("generate_platform", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made():
    """The schema and the class of everything generated, as the generator pairs them."""
    homes = GENERATOR_MODULE.Generator(json.loads(GENERATOR_MODULE.SPEC.read_text())).area
    return [
        (schema, classes(home)[GENERATOR_MODULE.name_of(schema)]) for schema, home in sorted(homes.items())
    ]


GENERATOR_MODULE = loaded()
PAIRS = made()
STRUCTS = [pytest.param(s, kind, id=s) for s, kind in PAIRS if not issubclass(kind, Word)]
WORDS = [pytest.param(s, kind, id=s) for s, kind in PAIRS if issubclass(kind, Word)]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference."""
    while "$ref" in schema or "allOf" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["allOf"][0]
    return schema


def sample(
    schema: dict[str, Any], *, whole: str = "text", word: int | str = -1, extra: bool = False, depth: int = 5
) -> Any:
    """A value of the schema with all of its members, recursion cut off at `depth`.

    `whole` is how int64 is written, as text or as number; `word` an enumeration's word by its place, or a
    word of one's own; `extra` adds members that the schema does not know.
    """
    if (plain := PLAIN.get(schema.get("$ref", "").rpartition("/")[2])) is not None:
        return plain
    schema = resolved(schema)
    options = {"whole": whole, "word": word, "extra": extra, "depth": depth - 1}
    if "enum" in schema:
        return word if isinstance(word, str) else schema["enum"][word]
    match schema.get("type"), schema.get("format"):
        case "array", _:
            return [sample(schema["items"], **options)] if depth > 0 else []
        case "object", _ if isinstance(schema.get("additionalProperties"), dict):
            inner = schema["additionalProperties"]
            return {"a key": sample(inner, **options)} if depth > 0 and inner else {}
        case "object", _:
            required = schema.get("required", ())
            members = {
                name: sample(inner, **options)
                for name, inner in schema.get("properties", {}).items()
                if depth > 0 or name in required
            }
            return {**members, "not_known_yet": {"a": [1]}} if extra else members
        case "string", "date-time":
            return "2026-03-01T09:30:00.123456Z"
        case ("string", "int64" | "uint64") | ("integer", "int64"):
            return "9007199254740993" if whole == "text" else 9007199254740993
        case "string", _:
            return "text"
        case "integer", _:
            return 7
        case "number", _:
            return 1.5
        case "boolean", _:
            return True
    raise AssertionError(schema)


def read(value, kind):
    return msgspec.json.decode(json.dumps(value).encode(), type=kind, strict=False)


def test_what_is_checked_in_is_what_the_generator_writes():
    """`--check` finds no difference."""
    done = subprocess.run(
        [sys.executable, GENERATOR, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_difference_is_found(tmp_path):
    """A file that was changed, one that is missing and one too many are named; the status is 1."""
    package = tmp_path / "kognitos_async"
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / GENERATOR.name).write_text(GENERATOR.read_text())
    (package / "testing").mkdir(parents=True)
    document = ROOT / "kognitos_async" / "testing" / "platform.openapi.json"
    (package / "testing" / document.name).write_bytes(document.read_bytes())
    folder = package / "platform_v1" / "models" / "generated"
    folder.parent.mkdir(parents=True)
    command = [sys.executable, tmp_path / ".ci" / GENERATOR.name]
    subprocess.run(command, timeout=60, check=True)
    assert subprocess.run([*command, "--check"], timeout=60, check=False).returncode == 0
    for path in (*folder.iterdir(), folder.parent / "__init__.py"):
        at = path.relative_to(folder.parent)
        assert path.read_text() == (Path(models.__path__[0]) / at).read_text()
    (folder / "books.py").write_text("changed")
    (folder / "runs.py").unlink()
    (folder / "more.py").write_text("")
    (folder.parent / "__init__.py").write_text("")
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("books", "more", "runs", "models/__init__"))
    assert (folder / "books.py").read_text() == "changed"


def test_every_schema_has_one_class():
    """No two schemas of a module have one name, and no class is without a schema."""
    kinds = [kind for _, kind in PAIRS]
    assert len(set(kinds)) == len(kinds)
    assert {kind for module in MODULES for kind in classes(module).values()} == set(kinds)


@pytest.mark.parametrize(("schema", "kind"), STRUCTS)
def test_a_whole_message_is_read_and_written(schema, kind):
    """With every member; int64 as text and as number mean the same; nothing is lost on the way back."""
    found = read(sample(SCHEMAS[schema], whole="text"), kind)
    for name in SCHEMAS[schema].get("properties", {}):
        assert getattr(found, name) not in (None, (), {}), name
    assert found == read(sample(SCHEMAS[schema], whole="number"), kind)
    assert found == read(msgspec.to_builtins(found), kind)


@pytest.mark.parametrize(("schema", "kind"), STRUCTS)
def test_members_and_words_to_come_are_read(schema, kind):
    """Members not known here are ignored, words not known here kept."""
    found = read(sample(SCHEMAS[schema], word="SOMETHING_NEW", extra=True), kind)
    for name in kind.__struct_fields__:
        if isinstance(value := getattr(found, name), Word):
            assert value == "SOMETHING_NEW"
            assert not value.known


@pytest.mark.parametrize(("schema", "kind"), STRUCTS)
def test_what_may_be_left_out_may_be_left_out(schema, kind):
    """Scalars are zero, unless their absence means something; lists and maps empty, and maps not shared."""
    required = SCHEMAS[schema].get("required", ())
    value = {name: inner for name, inner in sample(SCHEMAS[schema]).items() if name in required}
    found, other = read(value, kind), read(value, kind)
    union = GENERATOR_MODULE.UNION.search(SCHEMAS[schema].get("description", ""))
    for name, content in SCHEMAS[schema].get("properties", {}).items():
        if name in required:
            continue
        given = getattr(found, name)
        if content.get("type") == "array":
            expected = ()
        elif "additionalProperties" in content:
            expected = {}
        else:
            tells = union or GENERATOR_MODULE.OPTIONAL.search(content.get("description", ""))
            expected = None if tells and name not in ("name", "next_page_token") else zero(content)
        assert given == expected, name
        assert type(given) is type(expected), name
        assert given != {} or given is not getattr(other, name)
    assert msgspec.to_builtins(found).keys() <= set(required)


def zero(content):
    """What a scalar is when it is left out; None for a message, a word and a time."""
    if content.get("format") == "date-time" or "enum" in resolved(content):
        return None
    if content.get("format") in ("int64", "uint64"):
        return 0
    return {"string": "", "integer": 0, "number": 0.0, "boolean": False}.get(content.get("type"))


@pytest.mark.parametrize(("schema", "kind"), STRUCTS)
def test_an_empty_message_is_read(schema, kind):
    """Whatever the schema requires: an absent or null member never fails a page."""
    decode = model_decoder(kind).decode
    nulls = dict.fromkeys(SCHEMAS[schema].get("properties", {}))
    if schema == "v1TimeWindow":  # there is no zero time
        nulls.update(start_time="2026-01-01T00:00:00Z", end_time="2026-01-01T00:00:00Z")
    found = decode(msgspec.json.encode(nulls))
    if schema != "v1TimeWindow":
        assert decode(b"{}") == found
    for name in kind.__struct_fields__:
        assert getattr(found, name) in (None, "", 0, False, (), {}) or isinstance(
            getattr(found, name), msgspec.Struct | datetime
        )


def test_all_models_are_found_in_one_place():
    """By name, in `kognitos_async.platform_v1.models`; those by hand too."""
    for _, kind in PAIRS:
        assert getattr(models, kind.__name__) is kind
        assert kind.__name__ in models.__all__
    assert models.PlatformRun is kognitos_async.PlatformRun
    assert set(models.__all__) <= set(dir(models))
    with pytest.raises(AttributeError, match="Hologram"):
        models.Hologram  # noqa: B018 - asked for


def test_structs_are_values():
    """Frozen, keyword-only, without what was left out when they are written, and described."""
    for param in STRUCTS:
        schema, kind = param.values
        assert kind.__struct_config__.frozen, schema
        assert kind.__struct_config__.omit_defaults, schema
        assert kind.__doc__, schema
        if kind.__struct_fields__:
            with pytest.raises(TypeError):
                kind("by position")


@pytest.mark.parametrize(("schema", "kind"), WORDS)
def test_words_are_the_documents(schema, kind):
    """All of them and no other, and one not known becomes a member that carries it."""
    assert [member.value for member in kind] == SCHEMAS[schema]["enum"]
    assert all(member.name.isidentifier() and member.name.isupper() for member in kind)
    assert all(member.known for member in kind)
    assert not kind("SOMETHING_NEW").known


def test_recursive_types_are_read():
    """A list of lists, and a condition within conditions."""
    nested = {"list_type": {"inner": {"optional_type": {"inner": {"scalar_type": "VALUE_SCALAR_TYPE_TEXT"}}}}}
    assert read(nested, ValueType).list_type.inner.optional_type.inner.scalar_type == "VALUE_SCALAR_TYPE_TEXT"
    value = {"list_value": {"values": [{"list_value": {"values": [{"number_value": 1}]}}]}}
    assert read(value, BookValue).list_value.values[0].list_value.values[0].number_value == 1
    condition = {"unary_expression": {"operator": "UnaryOperatorNot", "inner": {"value_expression": value}}}
    assert read(condition, Expression).unary_expression.inner.value_expression == read(value, BookValue)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"user_message": {"content": "hi"}}, "user_message"),
        ({"state": "STATE_COMPLETE", "thinking": {}}, "thinking"),
        ({"hologram": {}}, ""),
        ({}, ""),
    ],
)
def test_the_kind_and_content_of_an_event(event, kind):
    """By presence: an empty object counts, and what is not known here is nothing."""
    found = msgspec.convert({"name": "e", **event}, exceptions.Event, strict=False)
    assert found.kind == kind
    assert found.content == (getattr(found, kind) if kind else None)
