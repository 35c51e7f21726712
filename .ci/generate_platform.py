"""Writes the generated models of the platform API from the vendor's OpenAPI file; with --check it compares.

    python .ci/generate_platform.py [--check]

One module for each area of the API, one msgspec struct or enumeration for each schema that is not made by
hand. Members that are not required may be absent: messages and scalars are then None, lists and maps empty.
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
# Made by hand, and where.
BY_HAND = {
    "v1Run": ("kognitos_async.platform_v1.models.runs", "PlatformRun"),
    "v1AutomationStage": ("kognitos_async.platform_v1.models.runs", "AutomationStage"),
}
# What methods unwrap, and values, which are converted: as JSON has them.
PLAIN = {"commonV1Value", "protobufAny"}
LEFT_OUT = {"v1ListRunsResponse", "v1InvokeAutomationResponse", "rpcStatus", *PLAIN, *BY_HAND}
# Names that would be another's, or say too little, without their prefix.
RENAMED = {
    "bdkV2Value": "BookValue",
    "bdkV2ListValue": "BookListValue",
    "bdkV2Label": "Label",
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
        typing = [word for word in ("Any", "ClassVar") if re.search(rf"\b{word}\b", code)]
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
        if schema in ONE_OF:
            kinds = [name for name, field in members.items() if "$ref" in field and name not in BESIDE]
            lines += ["", "    kinds: ClassVar[tuple[str, ...]] = ("]
            lines += [*(f'        "{kind}",' for kind in kinds), "    )"]
        for member, field in members.items():
            lines += [""] if len(lines) == 2 else []
            lines.append(self.field(member, field, schema, required=member in content.get("required", [])))
            if field.get("description"):
                lines.append(docstring(field["description"], schema))
        if schema in SECRETS:
            lines += ["", "    def __repr__(self) -> str:", f'        return "{name_of(schema)}(...)"']
        return "\n".join(lines)

    def field(self, member: str, field: dict, schema: str, *, required: bool) -> str:
        kind = self.kind(field)
        name = re.sub(r"\W", "", member)
        name = f"{name}_" if keyword.iskeyword(name) else name
        if required:
            if zero := self.zero(kind, sent=schema in self.sent):
                return f"    {name}: {kind} = {zero}"
            return f"    {name}: {kind}" + (f' = msgspec.field(name="{member}")' if name != member else "")
        empty = "()" if kind.startswith("tuple[") else "{}" if "additionalProperties" in field else "None"
        kind = f"{kind} | None" if empty == "None" else kind
        if name == member:
            return f"    {name}: {kind} = {empty}"
        given = f"default={empty}" if empty != "{}" else "default_factory=dict"
        return f'    {name}: {kind} = msgspec.field(name="{member}", {given})'

    def zero(self, kind: str, *, sent: bool) -> str | None:
        """What a required member is when it is left out, as the API may do with what is zero or empty.

        What is required in a request has no default, but for numbers, which are sent all the same.
        """
        if sent:
            return "msgspec.field(default_factory=int)" if kind == "int" else None
        if kind.startswith(("tuple[", "dict[")):
            return "()" if kind.startswith("tuple[") else "{}"
        return {"str": '""', "int": "0", "float": "0.0", "bool": "False"}.get(kind)

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


def docstring(text: str | None, schema: str) -> str:
    """A docstring four blanks deep: the vendor's note, or else the schema's name."""
    text = (text or f"The API's `{schema}`.").replace("\\", "\\\\").replace('"""', "'''").strip()
    text = text[0].upper() + text[1:]
    text += "" if text.endswith((".", "?", "!", ":")) else "."
    lines = textwrap.wrap(text, WIDTH - 10)
    text = "\n    ".join(lines)
    blank = " " if text.endswith('"') else ""
    return f'    """{text}{blank}"""' if len(lines) == 1 else f'    """{text}\n    """'


def main() -> int:
    """0, or 1 where the check finds a difference."""
    modules = Generator(json.loads(SPEC.read_text())).modules()
    first = '"""Models of the platform API, written by .ci/generate_platform.py; do not edit."""\n'
    texts = {"__init__": first, **modules}
    if "--check" in sys.argv[1:]:
        there = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
        wrong = sorted(name for name in {*there, *texts} if there.get(name) != texts.get(name))
        if wrong:
            print(f"not as .ci/generate_platform.py writes it: {', '.join(wrong)}", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.py"):
        path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.py").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
