"""The models of REST API v2."""

from __future__ import annotations

import copy
import pickle
import time
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import (
    SETTLED,
    FileUpload,
    Health,
    Process,
    Run,
    RunExceptionError,
    RunFailedError,
    RunInput,
    RunOutput,
    RunRequest,
    RunStatus,
    RunStoppedError,
    Stage,
    UploadedFile,
)
from tests.unit.fakes import run


def decoded(status="Running", **fields):
    return msgspec.json.decode(msgspec.json.encode(run(status, **fields)), type=Run)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-01-01T12:00:00", datetime(2021, 1, 1, 12, tzinfo=UTC)),
        ("2021-01-01T12:00:00Z", datetime(2021, 1, 1, 12, tzinfo=UTC)),
        ("2021-01-01T12:00:00.123456", datetime(2021, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2021-01-01T12:00:00.5+02:00", datetime(2021, 1, 1, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2021-01-01T12:00:00-05:30", datetime(2021, 1, 1, 17, 30, tzinfo=UTC)),
        ("2021-01-01T12:00:00.123Z", datetime(2021, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)),
    ],
)
def test_times_are_aware_and_in_utc_whatever_the_api_writes(text, moment):
    """Without an offset they are taken as UTC; with one they are converted."""
    created_at = decoded(created_at=text).created_at
    assert created_at == moment
    assert created_at.utcoffset() == timedelta(0)
    assert created_at.tzinfo is UTC


@pytest.mark.parametrize("text", ["2021-01-01T12:00:00.123456789Z", "2021-01-01T12:00:00.123456789"])
def test_nanoseconds_are_read_to_the_microsecond(text):
    """Nine digits are accepted."""
    difference = decoded(created_at=text).created_at - datetime(2021, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert abs(difference) <= timedelta(microseconds=1)


def test_null_lists_are_empty_tuples():
    """Null, absent or empty: the same empty tuple."""
    for fields in ({"file_ids": None, "outputs": None}, {"file_ids": [], "outputs": []}):
        one = decoded(**fields)
        assert one.file_ids == one.outputs == ()
        assert one.outputs_by_name == {}
    bare = {name: value for name, value in run().items() if name not in ("file_ids", "outputs")}
    assert msgspec.convert(bare, Run).outputs == ()


def test_outputs_keep_their_types():
    """Text, integers and fractions; by name as a dict."""
    outputs = [{"name": "a", "value": "1"}, {"name": "b", "value": 2}, {"name": "c", "value": 2.5}]
    one = decoded("Succeeded", outputs=outputs, file_ids=["f-1"])
    assert one.outputs == tuple(RunOutput(**output) for output in outputs)
    assert one.outputs_by_name == {"a": "1", "b": 2, "c": 2.5}
    assert [type(value) for value in one.outputs_by_name.values()] == [str, int, float]
    assert one.file_ids == ("f-1",)


def test_unknown_fields_are_ignored_everywhere():
    """The API may grow."""
    later = {"x_added_later": {"nested": [1, None]}}
    outputs = [{"name": "a", "value": 1, **later}]
    assert decoded("Succeeded", outputs=outputs, **later).outputs_by_name == {"a": 1}
    for kind, value in [
        (Health, {"status": "OK"}),
        (Process, {"id": "p", "name": "n", "agent_id": "a", "stage": "Draft"}),
        (FileUpload, {"id": "f", "file_name": "n", "upload_url": "https://s"}),
    ]:
        assert msgspec.convert({**value, **later}, kind) == msgspec.convert(value, kind)


@given(st.text().filter(lambda word: word not in set(RunStatus)))
def test_an_unknown_status_keeps_its_value_and_is_never_settled(word):
    """It is decoded, compared, hashed and shown as the text received."""
    one = decoded(word)
    assert one.status == word
    assert isinstance(one.status, RunStatus)
    assert str(one.status) == one.status.value == word
    assert not one.status.known
    assert not one.settled
    assert not one.succeeded
    assert one.status not in SETTLED
    assert {one.status: 1}[word] == 1
    assert one.raise_for_status() is one
    assert pickle.loads(pickle.dumps(one.status)) == one.status


def test_an_unknown_stage_is_a_member_too():
    """Decoding it does not make it known."""
    one = decoded(stage="Archived")
    assert one.stage == "Archived"
    assert not one.stage.known
    assert [stage.value for stage in Stage] == ["Draft", "Published"]
    assert all(stage.known for stage in Stage)


def test_a_status_that_is_not_text_is_refused():
    """A number is not a status word."""
    with pytest.raises(msgspec.ValidationError):
        decoded(7)
    with pytest.raises(ValueError, match="7"):
        RunStatus(7)


def test_the_documented_statuses():
    """Those of the schema and of the vendor's pages, and which are settled."""
    assert {status.value for status in RunStatus} == {
        *("Created", "Running", "Exception", "Stopped", "Succeeded"),
        *("Pending", "Failed", "Cancelled", "TimedOut"),
    }
    assert frozenset({"Succeeded", "Exception", "Stopped", "Failed", "Cancelled", "TimedOut"}) == SETTLED
    for status in RunStatus:
        assert decoded(status.value).settled == (status in SETTLED)
        assert decoded(status.value).succeeded == (status == "Succeeded")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("Exception", RunExceptionError),
        ("Stopped", RunStoppedError),
        ("Cancelled", RunStoppedError),
        ("Failed", RunFailedError),
        ("TimedOut", RunFailedError),
    ],
)
def test_raise_for_status_raises_for_each_failure(status, error):
    """The error carries the run and names it."""
    one = decoded(status)
    with pytest.raises(error, match=r"r-1.*Invoice 42") as caught:
        one.raise_for_status()
    assert caught.value.run is one


@pytest.mark.parametrize("status", ["Succeeded", "Created", "Running", "Pending"])
def test_raise_for_status_returns_other_runs(status):
    """So that calls can be chained."""
    one = decoded(status)
    assert one.raise_for_status() is one


def test_runs_are_values():
    """Equal if all fields are; hashable, frozen, copied and pickled without loss."""
    one = decoded("Succeeded", file_ids=None)
    same = decoded("Succeeded", file_ids=[])
    assert one == same
    assert hash(one) == hash(same)
    assert one != decoded("Succeeded", name="Other")
    assert one != "r-1"
    for twin in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert twin == one
        assert twin.created_at == one.created_at
    with pytest.raises(AttributeError):
        one.status = RunStatus.STOPPED
    with pytest.raises(AttributeError):
        one.created_at = datetime.now(UTC)
    assert repr(one).startswith("Run(id='r-1', name='Invoice 42'")
    assert "created_at=datetime.datetime(2021, 1, 1, 12, 0, tzinfo=datetime.timezone.utc)" in repr(one)
    assert "file_ids=()" in repr(one)


def test_a_run_of_an_unknown_status_can_be_pickled():
    """Journals and queues outlive versions."""
    one = decoded("Paused", stage="Archived")
    twin = pickle.loads(pickle.dumps(one))
    assert twin == one
    assert twin.status == "Paused"


def test_models_are_keyword_only_and_can_be_made_by_hand():
    """For users' tests."""
    made = Run(
        **{
            **run(),
            "status": RunStatus.RUNNING,
            "stage": Stage.DRAFT,
            "created_at": datetime(2021, 1, 1, tzinfo=UTC),
            "file_ids": (),
            "outputs": (),
        }
    )
    assert made.created_at == datetime(2021, 1, 1, tzinfo=UTC)
    for kind in (Run, Process, RunInput, RunOutput, FileUpload, Health, RunRequest, UploadedFile):
        with pytest.raises(TypeError):
            kind("r-1")


def test_a_run_request_needs_only_a_process_and_a_name():
    """The other arguments are those of runs.start."""
    request = RunRequest(process_id="p-1", name="n")
    assert (request.stage, request.inputs, request.file_ids, request.agent_id) == (
        Stage.PUBLISHED,
        None,
        None,
        None,
    )
    full = RunRequest(process_id="p", name="n", inputs={"a": 1}, file_ids=("f",), agent_id="a")
    assert pickle.loads(pickle.dumps(full)) == full


@pytest.mark.parametrize(("status", "ok"), [("OK", True), ("ok", True), ("Degraded", False), ("", False)])
def test_health_is_ok_or_not(status, ok):
    """By the status of the API."""
    assert Health(status=status).ok is ok


def test_a_presigned_form_does_not_show_its_secrets():
    """Neither its fields nor its URL's query and user, in repr, str or a traceback."""
    form = FileUpload(
        id="f-1",
        file_name="a.pdf",
        upload_url="https://user:secret@store.example/bucket?X-Amz-Signature=secret",
        upload_fields={"signature": "secret"},
        upload_http_headers={"x-amz-security-token": "secret"},
    )
    assert "secret" not in repr(form)
    assert "secret" not in f"{form}"
    assert "store.example" in repr(form)
    assert "a.pdf" in repr(form)


@pytest.mark.parametrize("url", ["https://[::1", "", "https://h:99999/x", "::::"])
def test_a_form_with_a_broken_url_can_still_be_shown(url):
    """Repr never raises."""
    assert "f-1" in repr(FileUpload(id="f-1", file_name="n", upload_url=url))


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=zones | st.none()))
def test_any_time_is_read_as_the_same_moment(moment):
    """With any offset, decoded or given to the constructor."""
    expected = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    for one in (
        decoded(created_at=moment.isoformat()),
        msgspec.structs.replace(decoded(), created_at=moment),
    ):
        assert one.created_at == expected
        assert one.created_at.tzinfo is UTC


def test_a_run_written_as_json_reads_back_equal():
    """Including nulls and times without an offset, which journals may hold."""
    for one in (decoded(), decoded("Paused", created_at="2021-01-01T12:00:00-05:30", file_ids=["f"])):
        again = msgspec.json.decode(msgspec.json.encode(one), type=Run)
        assert again == one
        assert again.created_at == one.created_at


@pytest.mark.parametrize("missing", ["id", "name", "agent_id", "process_id", "stage", "status", "created_at"])
def test_a_run_without_a_required_field_is_refused(missing):
    """Half a run must not pass for one."""
    half = {name: value for name, value in run().items() if name != missing}
    with pytest.raises(msgspec.ValidationError, match=missing):
        msgspec.convert(half, Run)


WRITTEN = [
    run("Running", file_ids=None, outputs=None),
    run("Succeeded", created_at="2021-01-01T12:00:00-05:30", outputs=[{"name": "a", "value": 1.5}]),
    run("Paused", created_at="2021-01-01T12:00:00Z", file_ids=["f-1"], outputs=[]),
]


@pytest.mark.parametrize("fields", WRITTEN)
def test_all_conversions_of_a_run_agree_with_its_attributes(fields):
    """asdict, astuple, to_builtins, JSON, to_dict, ==, !=, copies and rich."""
    one, twin = (msgspec.json.decode(msgspec.json.encode(fields), type=Run) for _ in range(2))
    attributes = {name: getattr(one, name) for name in Run.__struct_fields__}
    assert msgspec.structs.asdict(one) == attributes
    assert msgspec.structs.astuple(one) == tuple(attributes.values())
    assert (one == twin, one != twin) == (True, False)
    written = msgspec.json.decode(msgspec.json.encode(one))
    assert written == one.to_dict()
    assert msgspec.json.encode(msgspec.to_builtins(one)) == msgspec.json.encode(one)
    assert datetime.fromisoformat(written["created_at"]) == one.created_at
    assert datetime.fromisoformat(written["created_at"]).tzinfo is not None
    assert isinstance(written["file_ids"], list)
    assert isinstance(written["outputs"], list)
    assert dict(Run.__rich_repr__(one)) == attributes
    for again in (copy.copy(one), pickle.loads(pickle.dumps(one)), msgspec.convert(written, Run)):
        assert msgspec.structs.astuple(again) == msgspec.structs.astuple(one)


def test_an_output_is_checked_and_narrowed():
    """It returns the type requested, or raises an error that lists the outputs."""
    outputs = [{"name": "total", "value": 2}, {"name": "vendor", "value": "Acme"}]
    one = decoded("Succeeded", outputs=outputs)
    assert one.output("vendor", str) == "Acme"
    assert (one.output("total", int), one.output("total", float)) == (2, 2.0)
    assert type(one.output("total", float)) is float
    huge = decoded("Succeeded", outputs=[{"name": "n", "value": 2**53 + 1}, {"name": "m", "value": 10**400}])
    for name in ("n", "m"):
        with pytest.raises(TypeError, match="must be float, got int"):
            huge.output(name, float)
    with pytest.raises(TypeError, match="output 'vendor' of run r-1 must be int, got str"):
        one.output("vendor", int)
    with pytest.raises(KeyError, match=r"no output 'due'.*'total', 'vendor'"):
        one.output("due", str)


def test_times_without_an_offset_are_utc_in_any_local_time_zone(monkeypatch):
    """They are not local times."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert decoded(created_at="2021-01-01T12:00:00").created_at == datetime(2021, 1, 1, 12, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
