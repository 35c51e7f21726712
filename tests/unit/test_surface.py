"""The public surface: names, signatures, imports, and the operations of the OpenAPI file."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from importlib import resources
from pathlib import Path

import msgspec
import pytest

import kognitos_async
from kognitos_async import (
    SETTLED,
    Files,
    KognitosClient,
    Pager,
    PollPolicy,
    Processes,
    RetryPolicy,
    RunRequest,
    Runs,
    Stage,
)
from tests import unmeasured

PACKAGE = Path(kognitos_async.__file__).parent

PUBLIC = """
    SETTLED FileSource FileUpload Files Health Journal JournalEntry JournalError KognitosClient KognitosError
    Page Pager
    PollPolicy Process Processes RetryPolicy Run RunInput RunOutcome RunOutput RunRequest RunStatus
    Runs Stage UploadedFile APIStatusError AuthenticationError AwaitingGuidanceError BadRequestError
    CapacityError ClientClosedError ConfigurationError ConflictError DecodeError NotFoundError
    NotSentError OutcomeUnknownError MirrorError SyncResult PaginationError PermissionDeniedError
    RateLimitError RunError RunExceptionError RunFailedError RunStoppedError ServerError
    StartLedger StartUncertainError TransportError UnknownStatusError UploadError WaitTimeoutError __version__
    RunHandle shared_client shared_platform_client
    PlatformClient PlatformRun RunState SETTLED_STATES StartedRun InvokeRequest AutomationStage
    Download F Filter FileRef PresignedUrl file_ref Table UnknownValue from_value to_value
"""


def test_the_public_names_are_these_and_no_others():
    """Adding or removing one must be deliberate."""
    assert sorted(kognitos_async.__all__) == sorted(PUBLIC.split())
    assert len(set(kognitos_async.__all__)) == len(kognitos_async.__all__)
    for name in kognitos_async.__all__:
        assert getattr(kognitos_async, name) is not None


NONE = None
SIGNATURES = {
    KognitosClient.__init__: {
        "api_key": NONE,
        "*region": NONE,
        "*base_url": NONE,
        "*agent_id": NONE,
        "*request_timeout": 30.0,
        "*max_connections": 100,
        "*requests_per_second": NONE,
        "*retry": RetryPolicy(),
        "*poll": PollPolicy(),
        "*session": NONE,
        "*trace_configs": (),
    },
    KognitosClient.health: {},
    KognitosClient.open: {},
    KognitosClient.aclose: {},
    KognitosClient.request: {
        "method": ...,
        "path": ...,
        "*params": NONE,
        "*json": NONE,
        "*response_type": msgspec.Raw,
    },
    KognitosClient.run_and_wait: {
        "process_id": ...,
        "*name": ...,
        "*timeout": NONE,
        "*stage": Stage.PUBLISHED,
        "*inputs": NONE,
        "*file_ids": NONE,
        "*files": (),
        "*agent_id": NONE,
        "*until": SETTLED,
        "*poll": NONE,
        "*on_update": NONE,
    },
    KognitosClient.wait_for_run: {
        "run": ...,
        "*timeout": NONE,
        "*until": SETTLED,
        "*poll": NONE,
        "*on_update": NONE,
    },
    KognitosClient.watch_run: {"run": ..., "*timeout": NONE, "*until": SETTLED, "*poll": NONE},
    KognitosClient.wait_for_runs: {"runs": ..., "*timeout": NONE, "*until": SETTLED, "*poll": NONE},
    KognitosClient.run_many: {
        "requests": ...,
        "*max_in_flight": 100,
        "*journal": NONE,
        "*poll": NONE,
        "*run_timeout": NONE,
        "*absence_delay": 5.0,
        "*max_uploads": 8,
        "*rerun": (),
        "*recheck": False,
    },
    Processes.list: {"*agent_id": NONE, "*limit": 100, "*continuation_token": NONE},
    Processes.get: {"process_id": ..., "*agent_id": NONE},
    Runs.list: {
        "process_id": ...,
        "*agent_id": NONE,
        "*stage": NONE,
        "*limit": 100,
        "*continuation_token": NONE,
    },
    Runs.get: {"run_id": ...},
    Runs.start: {
        "process_id": ...,
        "*name": ...,
        "*stage": Stage.PUBLISHED,
        "*inputs": NONE,
        "*file_ids": NONE,
        "*agent_id": NONE,
        "*before_send": NONE,
        "*wait_for_room": True,
    },
    Runs.start_once: {"request": ..., "*earlier": NONE, "*before_send": NONE, "*absence_delay": 5.0},
    Runs.find_started: {"request": ..., "*since": ...},
    Runs.find_many: {"requests": ..., "*since": ...},
    Files.create: {"file_name": ..., "*agent_id": NONE},
    Files.upload: {
        "source": ...,
        "*file_name": NONE,
        "*size": NONE,
        "*agent_id": NONE,
        "*on_progress": NONE,
    },
    Pager.collect: {"max_items": NONE},
    Pager.pages: {},
}


@pytest.mark.parametrize("method", SIGNATURES, ids=lambda method: method.__qualname__)
def test_signatures_are_as_documented(method):
    """Names, defaults, and which arguments are keyword-only (*)."""
    found = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        star = "*" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else ""
        found[star + name] = ... if parameter.default is inspect.Parameter.empty else parameter.default
    assert found == SIGNATURES[method]


def test_a_run_request_takes_the_arguments_of_a_start():
    """The same names and defaults, and files, which are uploaded before the start."""
    fields = {field.name: field.default for field in msgspec.structs.fields(RunRequest)}
    start = inspect.signature(Runs.start).parameters
    sending = ("self", "before_send", "wait_for_room")
    assert list(fields) == [*(name for name in start if name not in sending), "files"]
    for name in ("stage", "inputs", "file_ids", "agent_id"):
        assert fields[name] == start[name].default


def test_every_public_method_is_documented():
    """The first line says what comes back."""
    for kind in (KognitosClient, Runs, Processes, Files, Pager):
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and callable(member):
                assert inspect.getdoc(member), f"{kind.__name__}.{name}"


# Operations

METHODS = {
    "get_health": KognitosClient.health,
    "list_processes": Processes.list,
    "get_process": Processes.get,
    "list_runs": Runs.list,
    "create_run": Runs.start,
    "get_run": Runs.get,
    "create_file": Files.create,
}


def test_every_operation_of_the_api_has_a_method_that_names_it():
    """Those of the vendor's OpenAPI file."""
    text = resources.files("kognitos_async.testing").joinpath("rest_v2.openapi.json").read_bytes()
    paths = msgspec.json.decode(text)["paths"]
    verbs = {"get", "post", "put", "patch", "delete", "head", "options"}
    operations = {
        operation["operationId"]
        for methods in paths.values()
        for verb, operation in methods.items()
        if verb in verbs
    }
    assert operations == set(METHODS)
    for operation, method in METHODS.items():
        assert f"({operation})" in inspect.getdoc(method)


# Imports

LAYERS = [
    "errors lifetime open_enum event_loop secret http_date",
    "checks settings retry web_models notebook",
    "messages paging page_decoder work_stream",
    "observers observed_work loop_thread",
    "attempts throttle upload_body server_clock",
    "transport",
    "sender uncertain_start",
    "uploads.reading",
    "uploads.sources uploads.placeholders uploads.file_store uploads.multipart",
    "waiting.reader waiting.list_order waiting.poll_plan waiting.policy waiting.stale_list",
    "shared_reading",
    "waiting.watch waiting.recent_starts",
    "waiting.pending waiting.patient_reader",
    "waiting.follow",
    "waiting.sweep",
    "waiting.poller",
    "waiting.shared_polls",
    "waiting.waits",
    "mirror.rows",
    "mirror.figures",
    "mirror.sqlite_file",
    "mirror.sqlite_store mirror.duckdb_store mirror.parquet_store",
    "mirror.store",
    "mirror.sync",
    "integrations",
    "bulk.admission bulk.slots bulk.ledger bulk.file_lock",
    "bulk.types bulk.files bulk.journal_errors bulk.early_uploads",
    "bulk.journal_hold bulk.journal_schema",
    "bulk.journal_file",
    "bulk.journal_steps",
    "bulk.group_commit",
    "bulk.journal_writer",
    "bulk.input bulk.doubts",
    "bulk.one_request",
    "bulk.job",
    "base_client",
    "telemetry.attributes",
    "telemetry.tracing telemetry.metering",
    "telemetry.instrumentation",
    "rest_v2.models rest_v2.scope",
    "rest_v2.encoding rest_v2.pages",
    "rest_v2.run_reader rest_v2.mirror",
    "rest_v2.look_up",
    "rest_v2.starts",
    "rest_v2.runs rest_v2.processes rest_v2.files",
    "rest_v2.bulk",
    "rest_v2.client",
    "platform_v1.scalars platform_v1.exact_numbers platform_v1.value_types platform_v1.names",
    "platform_v1.times platform_v1.models.base platform_v1.models.words",
    "platform_v1.filters platform_v1.cells platform_v1.decoding",
    "platform_v1.tables",
    "platform_v1.values platform_v1.json_values platform_v1.narrowing",
    "platform_v1.models.generated.shared",
    "platform_v1.models.runs",
    "platform_v1.models.generated",
    "platform_v1.encoding platform_v1.arguments platform_v1.outgoing",
    "platform_v1.schedules",
    "platform_v1.replaced_file platform_v1.resource",
    "platform_v1.automation_schedules platform_v1.automation_connections",
    "platform_v1.connection_triggers",
    "platform_v1.mirror platform_v1.run_reader platform_v1.event_stream platform_v1.connections",
    "platform_v1.file_inputs platform_v1.exception_events platform_v1.run_reports",
    "platform_v1.look_up",
    "platform_v1.runs platform_v1.starts",
    "platform_v1.organizations platform_v1.workspaces platform_v1.automations",
    "platform_v1.exceptions platform_v1.files platform_v1.books platform_v1.analytics",
    "platform_v1.bulk",
    "platform_v1.client",
    "bulk.journal",
    "shared_clients",
    "integrations.postgres_ledger",
    "integrations.airflow",
    "integrations.dbos.apis integrations.dbos.database",
    "integrations.dbos.ledger",
    "integrations.dbos.executor_lock integrations.dbos.starting integrations.dbos.waiting",
    "integrations.dbos.worker integrations.dbos.handles integrations.dbos.handing_on",
    "integrations.dbos.status integrations.dbos.resolving",
    "integrations.dbos.workflows",
    "integrations.dbos",
    "__init__",
    "testing",
    "cli",
    "__main__",
]
"""Each module imports from the layers above its own line, and beside it within one line without a cycle."""


@pytest.fixture(scope="module")
def sources():
    """The syntax of every module by its path."""
    return {path: ast.parse(path.read_text()) for path, _ in modules()}


def imports(path, tree):
    """The modules a file imports at run time, without those for type checkers only."""

    def walk(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for inner in node.orelse:
                yield from walk(inner)
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield node.module
            if node.module == "kognitos_async":
                yield from (f"kognitos_async.{alias.name}" for alias in node.names)
        for inner in ast.iter_child_nodes(node):
            yield from walk(inner)

    return set(walk(tree))


RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()}


def room_of(module):
    """The longest prefix of a module's name that has a layer; None for a package's own file."""
    parts = (
        module.removeprefix("kognitos_async").strip(".").split(".")
        if module != "kognitos_async"
        else ["__init__"]
    )
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in RANKS:
            return room
    return None


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.relative_to(PACKAGE).with_suffix("").parts


def test_imports_point_downwards_only(sources):
    """A module imports from lower layers, or without a cycle from its own."""
    graph = {}
    for path, parts in modules():
        if parts[-1] == "__init__" and len(parts) > 1 and parts[0] not in ("testing", "cli"):
            continue
        name = ".".join(parts)
        own = room_of(f"kognitos_async.{name}")
        assert own, f"{name} has no layer yet: give it one"
        for imported in imports(path, sources[path]):
            if imported == "kognitos_async" or not imported.startswith("kognitos_async."):
                continue
            other = room_of(imported)
            if other in (None, own):
                continue
            assert RANKS[other] <= RANKS[own], f"{name} imports {imported}"
            graph.setdefault(own, set()).add(other)
    assert not cycle_in(graph)


def cycle_in(graph):
    """A module that imports itself indirectly."""

    def reaches(start, node, seen):
        for other in graph.get(node, ()):
            if other == start or (other not in seen and reaches(start, other, seen | {other})):
                return True
        return False

    return [node for node in graph if reaches(node, node, {node})]


LONG_FOR_A_REASON = {"transport.py"}
"""Longer than 400 lines; its docstring says why."""


def test_no_file_and_no_class_is_long(sources):
    """400 lines a file and 250 a class, generated models aside."""
    long = set()
    for path, parts in modules():
        if "Written by .ci" in path.read_text()[:2000] or "generated" in parts:
            continue
        source = path.read_text()
        if len(source.splitlines()) > 400:
            long.add(path.relative_to(PACKAGE).as_posix())
        classes = [node for node in ast.walk(sources[path]) if isinstance(node, ast.ClassDef)]
        assert not [(path.name, one.name) for one in classes if (one.end_lineno or 0) - one.lineno + 1 > 250]
    assert long == LONG_FOR_A_REASON


def test_every_folder_with_modules_is_a_package():
    """Package walkers, freezers and type checkers skip other folders."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_only_the_transport_imports_aiohttp(sources):
    """And the emulator, which is a server."""
    users = {
        parts[0] if len(parts) > 1 else parts[-1]
        for path, parts in modules()
        if any(name.split(".")[0] == "aiohttp" for name in imports(path, sources[path]))
    }
    assert users <= {"transport", "testing", "cli"}
    assert "transport" in users


def test_pure_modules_import_no_network_clock_or_event_loop(sources):
    """Decisions are made from values."""
    for name in (
        "messages",
        "retry",
        "errors",
        "checks",
        "waiting/poll_plan",
        "waiting/list_order",
        "waiting/policy",
    ):
        found = {
            module.split(".")[0]
            for module in imports(PACKAGE / f"{name}.py", sources[PACKAGE / f"{name}.py"])
        }
        assert not found & {"asyncio", "aiohttp", "anyio", "time", "socket"}, name


def test_every_public_class_is_of_this_package_and_documented():
    """None is re-exported from another library."""
    for name in kognitos_async.__all__:
        value = getattr(kognitos_async, name)
        if inspect.isclass(value):
            assert value.__module__.split(".")[0] == "kognitos_async"
            assert value.__doc__, name


def test_importing_the_library_loads_neither_the_emulator_nor_the_command():
    """Nor what only they and bulk jobs need."""
    program = (
        "import sys; from kognitos_async import KognitosClient;"
        "print([m for m in sys.modules if m.startswith(('kognitos_async.testing', 'kognitos_async.cli'))"
        " or m in ('typer', 'rich', 'jsonschema', 'pytest', 'sqlite3')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=unmeasured.environ(),  # coverage brings SQLite
        capture_output=True,
        text=True,
        check=True,
    )
    assert ast.literal_eval(found.stdout) == []


def test_importing_the_package_alone_loads_nothing_else():
    """The pytest plugin imports it in every pytest run."""
    program = (
        "import sys; before = set(sys.modules); import kognitos_async.testing.pytest_plugin;"
        "new = set(sys.modules) - before;"
        "print([m for m in sorted(new) if m[:8] == 'kognitos'], {'aiohttp', 'msgspec'} & new)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], env=unmeasured.environ(), capture_output=True, text=True, check=True
    )
    ours = ["kognitos_async", "kognitos_async.testing", "kognitos_async.testing.pytest_plugin"]
    assert found.stdout == f"{ours} set()\n"


def test_lazy_names_are_declared_for_type_checkers():
    """What is loaded on first use is the object declared for static analysis."""
    tree = ast.parse(Path(kognitos_async.__file__).read_text())
    (declared,) = [part for part in tree.body if isinstance(part, ast.If)]
    homes = {
        alias.asname or alias.name: part.module
        for part in declared.body
        if isinstance(part, ast.ImportFrom)
        for alias in part.names
    }
    assert set(homes) == set(kognitos_async.__all__)
    for name, module in homes.items():
        if name != "__version__":
            assert getattr(importlib.import_module(module), name) is getattr(kognitos_async, name)


def test_the_platform_api_is_loaded_on_first_use():
    """It has many models."""
    program = (
        "import sys, kognitos_async;"
        "kognitos_async.KognitosClient('x');"
        "before = [m for m in sys.modules if m.startswith('kognitos_async.platform_v1')];"
        "kognitos_async.PlatformClient('kgn_pat_x');"
        "print((before, 'kognitos_async.platform_v1.client' in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ast.literal_eval(found.stdout) == ([], True)
    assert "PlatformClient" in dir(kognitos_async)
    with pytest.raises(AttributeError, match="no attribute 'PlatformServer'"):
        kognitos_async.PlatformServer  # noqa: B018 - must not be there


def test_the_package_has_a_py_typed_marker():
    """Type checkers read annotations only beside a `py.typed`."""
    assert (PACKAGE / "py.typed").exists()
