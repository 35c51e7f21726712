"""Everything public has a docstring: classes, methods, properties and attributes, inherited ones too."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kognitos_async
from kognitos_async import testing
from kognitos_async.integrations import litestar

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = sorted(
    {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in (kognitos_async, testing, litestar)
        for name in getattr(package, "__all__", ["KognitosPlugin"])
        if inspect.isclass(getattr(package, name))
    }.items()
)


@cache
def syntax(module: str) -> ast.Module:
    return ast.parse(Path(sys.modules[module].__file__ or "").read_text())


def undocumented(kind: type) -> Iterator[str]:
    """The public members of a class, without inherited ones, that have no docstring."""
    tree = syntax(kind.__module__)
    (node,) = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == kind.__name__]
    if ast.get_docstring(node) is None:
        yield kind.__name__
    bodies = [node.body]
    documented, members = set(), set()
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            members.add(part.name)
            if ast.get_docstring(part):  # of overloads and of pairs of property and setter, one is enough
                documented.add(part.name)
            if part.name == "__init__":
                bodies.append(part.body)
    for body in bodies:
        for part, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(part, ast.AnnAssign):
                target = part.target
            elif isinstance(part, ast.Assign):
                target = part.targets[0]
            else:
                continue
            match target:
                case ast.Name(id=name) if body is node.body:
                    members.add(name)
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    members.add(name)
                case _:
                    continue
            match following:
                case ast.Expr(value=ast.Constant(value=str())):
                    documented.add(name)
    yield from (f"{kind.__name__}.{name}" for name in members - documented if not name.startswith("_"))


@pytest.mark.parametrize("kind", [kind for _, kind in PUBLIC], ids=[name for name, _ in PUBLIC])
def test_a_public_class_and_each_of_its_members_is_documented(kind):
    bases = [base for base in kind.__mro__ if base.__module__.startswith("kognitos_async")]
    assert {name for base in bases for name in undocumented(base)} == set()


@pytest.mark.parametrize("package", [kognitos_async, testing], ids=lambda package: package.__name__)
def test_public_functions_are_documented(package):
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isfunction(value):
            assert value.__doc__, name
