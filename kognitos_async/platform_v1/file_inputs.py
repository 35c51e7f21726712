"""`FileSource` inputs of an invocation, uploaded before it is sent."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.platform_v1.value_types import FileRef
from kognitos_async.platform_v1.values import DEEPEST
from kognitos_async.uploads.placeholders import placeholder
from kognitos_async.uploads.sources import FileSource
from kognitos_async.work_stream import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.platform_v1.files import Files
    from kognitos_async.platform_v1.models.runs import InvokeRequest


def with_placeholders(request: InvokeRequest) -> tuple[InvokeRequest, dict[str, FileSource]]:
    """The request with placeholders for its files, and the files by placeholder."""
    files: dict[str, FileSource] = {}

    def refer(file: FileSource) -> FileRef:
        text = placeholder()
        files[text] = file
        return FileRef(text)

    return _with_files(request, refer), files


async def with_uploads(request: InvokeRequest, files: Files) -> InvokeRequest:
    """The request with references to its files, after uploading them concurrently."""
    _, sources = with_placeholders(request)
    if not sources:
        return request
    refs: dict[str, FileRef] = {}

    async def upload(text: str, file: FileSource) -> None:
        stored = await files.upload(file, organization_id=request.organization_id)
        refs[text] = FileRef(stored.name)

    await side_by_side(upload(text, file) for text, file in sources.items())
    texts = iter(sources)
    return _with_files(request, lambda _: refs[next(texts)])


def _with_files(request: InvokeRequest, refer: Callable[[FileSource], FileRef]) -> InvokeRequest:
    if not isinstance(request.inputs, Mapping):
        return request
    inputs = {name: _replaced(value, refer) for name, value in request.inputs.items()}
    return msgspec.structs.replace(request, inputs=inputs)


def _replaced(value: object, refer: Callable[[FileSource], FileRef], depth: int = 0) -> Any:
    """`value` with references for its files; itself if it holds none, or is nested too deep to be encoded."""
    if isinstance(value, FileSource):
        return refer(value)
    if depth > DEEPEST:
        return value
    if isinstance(value, list | tuple):
        items = [_replaced(item, refer, depth + 1) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    if isinstance(value, Mapping):
        members = {name: _replaced(member, refer, depth + 1) for name, member in value.items()}
        return value if all(members[name] is member for name, member in value.items()) else members
    return value
