"""Write the generated models of the platform API from the vendor's OpenAPI file; with --check compare them.

    python .ci/generate_platform.py [--check]

One module for each area of the API, one msgspec struct or enumeration for each schema that is not written by
hand, and the package's `__init__`, where all of them may be imported from. Any member may be absent, as in
protobuf's JSON: scalars are then 0, "" or False, lists and maps empty, messages, times, words and scalars
whose absence means something None. Only what is sent and required has to be given.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "kognitos_async" / "testing" / "platform.openapi.json"
FOLDER = ROOT / "kognitos_async" / "platform_v1" / "models" / "generated"
PACKAGE = FOLDER.parent / "__init__.py"
WIDTH = 110

AREAS = {
    "Organizations": "organizations",
    "Workspaces": "organizations",
    "Automations": "automations",
    "Runs": "runs",
    "Exceptions": "exceptions",
    "Files": "files",
    "Books": "books",
    "Analytics": "analytics",
}
# Written by hand, and where.
BY_HAND = {
    "v1Run": ("kognitos_async.platform_v1.models.runs", "PlatformRun"),
    "v1AutomationStage": ("kognitos_async.platform_v1.models.words", "AutomationStage"),
}
# What those use, which therefore must not import them.
USED_BY_HAND = ("v1ExecutableSteps", "commonV1Location")
# All that is written by hand, for the package's `__init__`.
WRITTEN = {
    "base": ("Model", "Named", "OneOf"),
    "runs": (
        "InvocationDetails",
        "InvokeRequest",
        "PlatformRun",
        "RunFailure",
        "RunGuidance",
        "StartedRun",
    ),
    "words": ("ENDED", "SETTLED_STATES", "AutomationStage", "InvocationSource", "RunState"),
}
# What methods unwrap, and values, which are converted: as JSON has them.
PLAIN = {"commonV1Value", "protobufAny"}
LEFT_OUT = {"v1ListRunsResponse", "v1InvokeAutomationResponse", "rpcStatus", *PLAIN, *BY_HAND}
# Names that would be another's, or say too little, without their prefix.
RENAMED = {
    "bdkV2Value": "BookValue",
    "bdkV2ListValue": "BookListValue",
    "bdkV2Label": "Label",
    "v2Date": "BookDate",
    "v2Time": "BookTime",
    "v1Exception": "RunException",
    "v1ExceptionGroup": "RunExceptionGroup",
}
PREFIX = re.compile(r"^(v1|v2|bdkV2|bdkV1|dashboards|commonV1|type)(?=[A-Z])")
# Structs whose content is secret, and never shown.
SECRETS = {"v2BookConnectionOAuthURLResponse", "v2CredentialValue", "v2SensitiveValue"}
# Messages that hold one of several contents, though the file does not say so; these members lie beside them.
ONE_OF = {
    "v1Event",
    "v1RunEvent",
    "v1ExecutionJournal",
    "v1ExecutionStopped",
    "v1ValueType",
    "v2ConceptType",
    "v2BookAuthenticationDescriptor",
}
BESIDE = {"state", "stage"}
# Notes that tell a union, where the presence of a scalar means something, and notes on such a scalar.
UNION = re.compile(r"\b(union|oneof|either|one item)\b", re.IGNORECASE)
OPTIONAL = re.compile(r"\b(optional|null when|unset|absent|omitted|only (if|when)|only in)\b", re.IGNORECASE)
ZERO = {"str": '""', "int": "0", "float": "0.0", "bool": "False"}
# Notes on members that the file says nothing of.
NOTES = {
    "create_time": "When it was created.",
    "update_time": "When it was last changed.",
    "delete_time": "When it was deleted.",
    "next_page_token": "The token of the next page, empty on the last.",
    "total_size": "How many items all pages have.",
    "display_name": "Its name for people.",
    "title": "Its title.",
    "description": "What it is, in words for people.",
    "email": "A mail address.",
    "id": "Its id.",
    "version": "Its version.",
}
BODIES = re.compile(r"\w+Body|v2Search\w+Request")
MODEL = "kognitos_async.platform_v1.models.base"


class Generator:
    """The schemas of one specification, and where each of them goes."""

    def __init__(self, spec: dict) -> None:
        self.schemas = spec["components"]["schemas"]
        self.area: dict[str, str] = {}
        for methods in spec["paths"].values():
            for operation in methods.values():
                for schema in self.below(operation):
                    # Bodies are made from the arguments of methods.
                    if schema not in LEFT_OUT and not BODIES.fullmatch(schema):
                        area = self.area.setdefault(schema, AREAS[operation["tags"][0]])
                        if area != AREAS[operation["tags"][0]]:
                            self.area[schema] = "shared"
        # What bodies hold: there a required member has to be given.
        bodies = [o.get("requestBody", {}) for path in spec["paths"].values() for o in path.values()]
        self.sent = set().union(*(self.below(body) for body in bodies))
        for schema in USED_BY_HAND:
            found = {schema, *self.below(self.schemas[schema])} - LEFT_OUT
            self.area.update(dict.fromkeys(sorted(found), "shared"))
        # What a shared schema uses is shared too, or modules would import each other.
        todo = [schema for schema, area in self.area.items() if area == "shared"]
        while todo:
            for schema in self.below(self.schemas[todo.pop()], deep=False):
                if self.area.get(schema, "shared") != "shared":
                    self.area[schema] = "shared"
                    todo.append(schema)

    def below(self, node: object, *, deep: bool = True) -> set[str]:
        """The schemas that `node` refers to, with `deep` those that they refer to as well."""
        found: set[str] = set()
        todo = [node]
        while todo:
            item = todo.pop()
            if isinstance(item, dict):
                if "$ref" in item:
                    schema = item["$ref"].rpartition("/")[2]
                    if schema not in found:
                        found.add(schema)
                        if deep and schema not in LEFT_OUT:
                            todo.append(self.schemas[schema])
                todo.extend(value for value in item.values() if isinstance(value, dict | list))
            elif isinstance(item, list):
                todo.extend(item)
        return found

    def modules(self) -> dict[str, str]:
        """The text of every module."""
        return {area: self.module(area) for area in sorted(set(self.area.values()))}

    def module(self, area: str) -> str:
        """The text of one module: its classes in alphabetical order, and what they import."""
        schemas = sorted((schema for schema, where in self.area.items() if where == area), key=name_of)
        body = "\n\n\n".join(self.definition(schema) for schema in schemas)
        imports = {MODEL: set(re.findall(r"\((Model|Named),", body))}
        if ", OneOf, " in body:
            imports[MODEL].add("OneOf")
        if "(Word)" in body:
            imports["kognitos_async.open_enum"] = {"Word"}
        for schema in set().union(*(self.below(self.schemas[s], deep=False) for s in schemas)):
            if schema in BY_HAND:
                imports.setdefault(BY_HAND[schema][0], set()).add(BY_HAND[schema][1])
            elif self.area.get(schema, area) != area:
                module = f"kognitos_async.platform_v1.models.generated.{self.area[schema]}"
                imports.setdefault(module, set()).add(name_of(schema))
        head = [
            f'"""Models of the platform API: {area}. Written by .ci/generate_platform.py; do not edit."""',
            "",
            "from __future__ import annotations",
            "",
        ]
        code = re.sub(r'""".*?"""', "", body, flags=re.DOTALL)
        typing = [word for word in ("TYPE_CHECKING", "Any", "ClassVar") if re.search(rf"\b{word}\b", code)]
        standard = ["from datetime import datetime"] if re.search(r"\bdatetime\b", code) else []
        standard += [f"from typing import {', '.join(typing)}"] if typing else []
        blocks = [standard, ["import msgspec"] if "msgspec." in code else []]
        blocks.append([import_line(module, names) for module, names in sorted(imports.items()) if names])
        return "\n".join(head) + "\n" + "\n\n".join("\n".join(b) for b in blocks if b) + f"\n\n\n{body}\n"

    def definition(self, schema: str) -> str:
        """One class."""
        content = self.schemas[schema]
        if "enum" in content:
            return enumeration(schema, content)
        members = content.get("properties", {})
        named = "organizations/" in members.get("name", {}).get("description", "") or schema == "v1Automation"
        base = "Named" if named else "Model"
        base += ", OneOf" if schema in ONE_OF else ""
        lines = [
            f"class {name_of(schema)}({base}, frozen=True, kw_only=True):",
            docstring(content.get("description"), schema),
        ]
        kinds = [name for name, field in members.items() if "$ref" in field and name not in BESIDE]
        if schema in ONE_OF:
            lines += ["", "    kinds: ClassVar[tuple[str, ...]] = ("]
            lines += [*(f'        "{kind}",' for kind in kinds), "    )"]
        union = UNION.search(content.get("description", "")) is not None
        for member, field in members.items():
            lines += [""] if len(lines) == 2 else []
            required = member in content.get("required", [])
            line = self.field(member, field, schema, required=required, union=union)
            lines += [line, docstring(field.get("description") or note(member, line), schema)]
        if schema in ONE_OF:
            types = dict.fromkeys(self.kind(members[name]) for name in kinds)
            lines += ["", "    if TYPE_CHECKING:", "", "        @property"]
            line = f"        def content(self) -> {' | '.join([*types, 'None'])}:"
            if len(line) > WIDTH:
                line = "        def content(\n            self,\n        ) -> (\n            "
                line += "\n            | ".join([*types, "None"]) + "\n        ):"
            lines += [
                line,
                '            """The member that is present; None for one that is not known here."""',
            ]
            lines += ["            raise NotImplementedError"]
        if schema in SECRETS:
            lines += ["", "    def __repr__(self) -> str:", f'        return "{name_of(schema)}(...)"']
        return "\n".join(lines)

    def field(self, member: str, field: dict, schema: str, *, required: bool, union: bool) -> str:
        """The line of one member: its name, its type, and what it is when it is left out."""
        kind = self.kind(field)
        name = re.sub(r"\W", "", member)
        name = f"{name}_" if keyword.iskeyword(name) else name
        renamed = f'name="{member}", ' if name != member else ""
        if required and schema in self.sent:
            # Numbers are sent even if they are zero, which a plain default would leave out.
            made = f"{renamed}default_factory=int" if kind == "int" else renamed.removesuffix(", ")
            return f"    {name}: {kind}" + (f" = msgspec.field({made})" if made else "")
        if kind.startswith("tuple["):
            empty = "()"
        elif "additionalProperties" in field or kind.startswith("dict["):
            empty = "{}" if "additionalProperties" in field or required else "None"
        else:
            description = field.get("description", "")
            tells = (union and name not in BESIDE | {"name"}) or OPTIONAL.search(description)
            plain = required or not tells
            empty = ZERO.get(kind, "None") if plain or member == "next_page_token" else "None"
        kind = f"{kind} | None" if empty == "None" else kind
        if name == member:
            return f"    {name}: {kind} = {empty}"
        given = f"default={empty}" if empty != "{}" else "default_factory=dict"
        return f"    {name}: {kind} = msgspec.field({renamed}{given})"

    def kind(self, field: dict) -> str:
        if "$ref" in field:
            schema = field["$ref"].rpartition("/")[2]
            if schema in PLAIN:
                return "dict[str, Any]"
            return BY_HAND[schema][1] if schema in BY_HAND else name_of(schema)
        if "allOf" in field:
            return self.kind(field["allOf"][0])
        match field.get("type"), field.get("format"):
            case "array", _:
                return f"tuple[{self.kind(field['items'])}, ...]"
            case "object", _:
                more = field.get("additionalProperties")
                return f"dict[str, {self.kind(more) if isinstance(more, dict) and more else 'Any'}]"
            case "string", "date-time":
                return "datetime"
            case ("string", "int64" | "uint64") | ("integer", _):
                return "int"
            case "number", _:
                return "float"
            case "boolean", _:
                return "bool"
            case "string", _:
                return "str"
        return "Any"


def import_line(module: str, names: set[str]) -> str:
    """An import, over several lines where one is too short."""
    line = f"from {module} import {', '.join(sorted(names))}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in sorted(names)) + ")"


def name_of(schema: str) -> str:
    """The name of a schema's class."""
    return RENAMED.get(schema) or PREFIX.sub("", schema)


def enumeration(schema: str, content: dict) -> str:
    """A class of words: each is a member, without the prefix that all of them share."""
    words = content["enum"]
    pieces = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper().split("_") for word in words]
    common = 0
    while len(words) > 1 and all(len(p) > common + 1 and p[common] == pieces[0][common] for p in pieces):
        common += 1
    members = ["_".join(piece[common:]) for piece in pieces]
    members = [member if member.isidentifier() else f"_{member}" for member in members]
    lines = [f"class {name_of(schema)}(Word):", docstring(content.get("description"), schema), ""]
    lines += [f'    {member} = "{word}"' for member, word in zip(members, words, strict=True)]
    return "\n".join(lines)


def note(member: str, line: str) -> str:
    """A few words on a member that the file says nothing of: what its absence means."""
    if member in NOTES:
        return NOTES[member]
    _, _, value = line.partition(" = ")
    words = {
        '""': "Empty",
        "0": "0",
        "0.0": "0",
        "False": "False",
        "()": "Empty",
        "{}": "Empty",
        "None": "None",
    }
    if "default_factory=int" in value:
        return "0 unless given."
    zero = words.get(value) or next(
        (word for text, word in words.items() if f"default={text}" in value), "Empty"
    )
    return f"{zero} where the API leaves it out." if value else "Required."


def docstring(text: str | None, schema: str) -> str:
    """A docstring four blanks deep: the vendor's note, or else the schema's name."""
    text = (text or f"The API's `{schema}`.").replace("\\", "\\\\").replace('"""', "'''").strip()
    if not re.search(r"[/{]", text.split()[0]):  # the pattern of a name is shown as it is
        text = text[0].upper() + text[1:]
    text += "" if text.endswith((".", "?", "!", ":")) else "."
    lines = textwrap.wrap(text, WIDTH - 10)
    text = "\n    ".join(lines)
    blank = " " if text.endswith('"') else ""
    return f'    """{text}{blank}"""' if len(lines) == 1 else f'    """{text}\n    """'


def package(modules: dict[str, str]) -> str:
    """The text of the package's `__init__`: every model by its name, loaded when first used."""
    homes: dict[str, list[str]] = {name: list(names) for name, names in WRITTEN.items()}
    for area, text in modules.items():
        homes[f"generated.{area}"] = re.findall(r"^class (\w+)", text, re.MULTILINE)
    homes = {
        home: sorted(found, key=lambda name: (not name.isupper(), name.lower()))
        for home, found in homes.items()
    }
    names = sorted(
        (name for found in homes.values() for name in found), key=lambda name: (not name.isupper(), name)
    )
    if len(set(names)) != len(names):
        raise SystemExit(f"not one name each: {sorted({name for name in names if names.count(name) > 1})}")
    base = MODEL.rpartition(".")[0]
    lines = [
        '"""All models of the platform API: `from kognitos_async.platform_v1.models import RunException`.',
        "",
        "Runs are written by hand, the others from the vendor's schema. Modules load with their first use.",
        "Written by .ci/generate_platform.py; do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from importlib import import_module as _import_module",
        "from typing import TYPE_CHECKING as _TYPE_CHECKING",
        "",
        "if _TYPE_CHECKING:",
    ]
    for home in sorted(homes):
        lines += [
            f"    from {base}.{home} import (",
            *(f"        {name}," for name in homes[home]),
            "    )",
        ]
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in names), "]", "", "_MODULES = {"]
    for home in sorted(homes):
        lines += [f'    "{home}": (', *(f'        "{name}",' for name in homes[home]), "    ),"]
    lines += [
        "}",
        "_HOMES = {name: module for module, names in _MODULES.items() for name in names}",
        "",
        "",
        "def __getattr__(name: str) -> object:",
        "    if name not in _HOMES:",
        '        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")',
        '    value: object = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)',
        "    globals()[name] = value",
        "    return value",
        "",
        "",
        "def __dir__() -> list[str]:",
        "    return sorted({*globals(), *__all__})",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """0, or 1 where the check finds a difference."""
    modules = Generator(json.loads(SPEC.read_text())).modules()
    whole = package(modules)
    first = '"""Models of the platform API, written by .ci/generate_platform.py; do not edit."""\n'
    texts = {"__init__": first, **modules}
    if "--check" in sys.argv[1:]:
        there = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
        wrong = sorted(name for name in {*there, *texts} if there.get(name) != texts.get(name))
        if not PACKAGE.exists() or PACKAGE.read_text() != whole:
            wrong.append("models/__init__")
        if wrong:
            print(f"not as .ci/generate_platform.py writes it: {', '.join(wrong)}", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.py"):
        path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.py").write_text(text)
    PACKAGE.write_text(whole)
    return 0


if __name__ == "__main__":
    sys.exit(main())
