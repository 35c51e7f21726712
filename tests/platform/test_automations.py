"""Automations: each method's request, as the vendor's document wants it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest

from kognitos_async import AutomationStage, ConfigurationError, DecodeError, F, Stage
from kognitos_async.platform_v1.automations import Automations
from kognitos_async.platform_v1.files import Files
from kognitos_async.platform_v1.look_up import LookUps
from kognitos_async.platform_v1.models.generated import automations as models
from kognitos_async.platform_v1.names import Scope
from kognitos_async.platform_v1.run_reader import RunReader
from kognitos_async.platform_v1.starts import Starts
from kognitos_async.uncertain_start import OwnStarts
from kognitos_async.waiting.recent_starts import RecentStarts
from tests.platform.recorder import AUTOMATION, SCOPE, WORKSPACE, Recorder, sent

CONFIG = models.ScheduleConfig(
    start=models.ScheduleStart(
        start_date=models.Date(year=2026, month=3, day=1),
        time=models.TimeOfDay(hours=9),
        time_zone="Europe/Berlin",
    ),
    repeat_interval=models.RepeatInterval(unit=models.FrequencyUnit.WEEK, interval=2),
    weekly_pattern=models.DayOfWeekPattern(days=(models.DayOfWeek.MONDAY, models.DayOfWeek.FRIDAY)),
    end=models.ScheduleEnd(end_type=models.ScheduleEndType.AFTER_OCCURRENCES, max_occurrences=10),
)
TRIGGER = models.AutomationTrigger(
    trigger_id="t1", phase_type=models.PhaseType.MAIN, input_mapping={"Case ID": "subject"}
)
CREDENTIAL = models.CredentialInfo(
    book="email", book_version="1.2", connection_alias="mail", connection_id="c1"
)
REPLACEMENT = models.ConnectionReplacement(
    old_connection_id="c1", new_connection_id="c2", connection_alias="mail"
)
REMOVAL = models.ConnectionRemoval(connection_id="c1", connection_alias="mail")

CALLS = {
    "GetAutomation": (lambda r: r.get("a1"), f"/{AUTOMATION}"),
    "QueryAutomation": (lambda r: r.query("a1", stage="DRAFT"), f"/{AUTOMATION}:query"),
    "GetAutomationRevision": (
        lambda r: r.get_revision("1.0", automation="a1"),
        f"/{AUTOMATION}/revisions/1.0",
    ),
    "ListAutomationRevisions": (lambda r: r.list_revisions("a1"), f"/{AUTOMATION}/revisions"),
    "ListAutomations": (lambda r: r.list(), f"/{WORKSPACE}/automations"),
    "InvokeAutomation": (lambda r: r.invoke("a1", {"Case ID": "7"}), f"/{AUTOMATION}:invoke"),
    "ListDefaultInputsHistory": (
        lambda r: r.list_default_inputs_history("a1"),
        f"/{AUTOMATION}:listDefaultInputsHistory",
    ),
    "CountConnectionUsage": (
        lambda r: r.count_connection_usage(["c1"]),
        f"/{WORKSPACE}/automations:countConnectionUsage",
    ),
    "TraceConnectionUsage": (
        lambda r: r.trace_connection_usage("c1"),
        f"/{WORKSPACE}/automations:traceConnectionUsage",
    ),
    "ExtractAutomationCodeConnections": (
        lambda r: r.extract_connections("a1", filter=F.stage == "DRAFT"),
        f"/{AUTOMATION}:extractCodeConnections",
    ),
    "UpgradeAutomationConnections": (
        lambda r: r.upgrade_connections("a1", [REPLACEMENT]),
        f"/{AUTOMATION}:upgradeConnections",
    ),
    "SwitchAutomationConnections": (
        lambda r: r.switch_connections("a1", [REPLACEMENT]),
        f"/{AUTOMATION}:switchConnections",
    ),
    "RemoveAutomationConnections": (
        lambda r: r.remove_connections("a1", [REMOVAL]),
        f"/{AUTOMATION}:removeConnections",
    ),
    "AddAutomationConnections": (
        lambda r: r.add_connections("a1", [CREDENTIAL]),
        f"/{AUTOMATION}:addConnections",
    ),
    "GetAutomationVisualization": (lambda r: r.visualization("a1"), f"/{AUTOMATION}/visualization"),
    "CreateAutomationSchedule": (lambda r: r.create_schedule("a1", CONFIG), f"/{AUTOMATION}/schedule"),
    "UpdateAutomationSchedule": (lambda r: r.update_schedule("a1", CONFIG), f"/{AUTOMATION}/schedule"),
    "GetAutomationSchedule": (lambda r: r.get_schedule("a1"), f"/{AUTOMATION}/schedule"),
    "DeleteAutomationSchedule": (lambda r: r.delete_schedule("a1"), f"/{AUTOMATION}/schedule"),
    "DisableAutomationSchedule": (
        lambda r: r.disable_schedule("a1"),
        f"/{AUTOMATION}:disableAutomationSchedule",
    ),
    "EnableAutomationSchedule": (
        lambda r: r.enable_schedule("a1"),
        f"/{AUTOMATION}:enableAutomationSchedule",
    ),
    "DeleteWorkspaceConnection": (
        lambda r: r.delete_connection("c1"),
        f"/{WORKSPACE}/automations:deleteConnection",
    ),
    "CreateAutomationTrigger": (lambda r: r.create_trigger("a1", TRIGGER), f"/{AUTOMATION}/triggers"),
    "ListAutomationTriggers": (lambda r: r.list_triggers("a1"), f"/{AUTOMATION}/triggers"),
}
READING = {"CountConnectionUsage", "TraceConnectionUsage"}


def automations(recorder, scope=SCOPE):
    own = OwnStarts()
    reader = RunReader(recorder, scope, RecentStarts(), own)
    look_ups = LookUps(recorder, scope, reader, own)
    return Automations(recorder, scope, Starts(recorder, scope, reader, look_ups, Files(recorder, scope)))


@pytest.mark.parametrize("operation", CALLS)
async def test_each_method_sends_its_operation(operation):
    """Its path, a query and a body that the document allows; the sample answer is decoded."""
    call, path = CALLS[operation]
    recorder = await sent(operation, call, automations)
    assert recorder.last.path == path
    assert recorder.last.repeatable == (recorder.last.method == "GET" or operation in READING)


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("DRAFT", "DRAFT"),
        ("published", "PUBLISHED"),
        ("AUTOMATION_STAGE_DRAFT", "DRAFT"),
        (AutomationStage.PUBLISHED, "PUBLISHED"),
        (Stage.DRAFT, "DRAFT"),
    ],
)
async def test_a_stage_may_be_written_in_any_way(stage, word):
    """Short, in full, or a member of either API's enumeration."""
    recorder = Recorder()
    await automations(recorder).query("a1", stage=stage)
    assert recorder.query == [("stage", f"AUTOMATION_STAGE_{word}")]


@pytest.mark.parametrize("stage", ["", "UNSPECIFIED", "AUTOMATION_STAGE_UNSPECIFIED", 3, None])
async def test_other_stages_are_refused(stage):
    """Before anything is sent."""
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError), match="stage"):
        await automations(recorder).query("a1", stage=stage)
    assert not recorder.requests


async def test_lists_pass_what_they_are_given():
    """Filter, page and show_deleted, which is left out when it is not wanted."""
    recorder = Recorder()
    resource = automations(recorder)
    await resource.list(filter=F.state == "PUBLISHED", show_deleted=True, page_size=1000, page_token="t")
    assert dict(recorder.query) == {
        "filter": str(F.state == "PUBLISHED"),
        "show_deleted": "true",
        "page_size": "1000",
        "page_token": "t",
    }
    await resource.list()
    assert dict(recorder.query) == {"page_size": "100"}


async def test_a_model_or_a_full_name_stands_for_an_id():
    """An automation read before, its name, and the name of a revision, which tells its automation."""
    recorder = Recorder()
    resource = automations(recorder)
    recorder.answers = [{"name": AUTOMATION, "display_name": "Invoices"}]
    automation = await resource.get(AUTOMATION)
    assert (automation.id, automation.display_name) == ("a1", "Invoices")
    await resource.get_schedule(automation)
    assert recorder.last.path == f"/{AUTOMATION}/schedule"
    await resource.get_revision(f"{AUTOMATION}/revisions/latest")
    assert recorder.last.path == f"/{AUTOMATION}/revisions/latest"
    await resource.delete_connection(f"{WORKSPACE}/connections/c1")
    assert recorder.query == [("connection_id", "c1")]
    await resource.trace_connection_usage(f"{WORKSPACE}/connections/c1")
    assert recorder.body == {"connection_id": "c1"}


async def test_the_short_name_of_the_document_is_understood():
    """The API may name an automation `automations/{automation}` only."""
    recorder = Recorder()
    await automations(recorder).get("automations/a1", workspace_id="w2")
    assert recorder.last.path == "/organizations/o1/workspaces/w2/automations/a1"


@pytest.mark.parametrize("operation", [name for name, (_, path) in CALLS.items() if AUTOMATION in path])
async def test_another_workspace_of_another_organization(operation):
    """Both may be named in any call."""
    call, path = CALLS[operation]
    recorder = Recorder()

    class Elsewhere:
        def __getattr__(self, name):
            method = getattr(automations(recorder), name)
            return lambda *a, **k: method(*a, **k, workspace_id="w2", organization_id="o2")

    await call(Elsewhere())
    assert recorder.last.path == path.replace("o1", "o2").replace("w1", "w2")


async def test_another_organization_only_on_purpose():
    """A full name of another organization is refused, unless organization_id names that one too."""
    recorder = Recorder()
    resource = automations(recorder)
    theirs = "organizations/o2/workspaces/w2/automations/a1"
    with pytest.raises(ValueError, match="is of organization 'o2'"):
        await resource.get(theirs)
    with pytest.raises(ValueError, match="is of organization 'o2'"):
        await resource.invoke(theirs)
    with pytest.raises(ValueError, match="contradictory"):
        await resource.get(AUTOMATION, workspace_id="w2")
    with pytest.raises(ValueError, match="automation must be an id or a name like"):
        await resource.get("organizations/o1/workspaces/w1/exceptions/x")
    assert not recorder.requests
    await resource.get(theirs, organization_id="o2")
    assert recorder.last.path == f"/{theirs}"


async def test_a_bare_id_without_its_parent_is_refused():
    """A bare revision does not tell its automation, a bare automation not its workspace."""
    with pytest.raises(ConfigurationError, match="automation"):
        await automations(Recorder()).get_revision("1.0")
    with pytest.raises(ConfigurationError, match="workspace"):
        await automations(Recorder(), Scope("o1")).get("a1")


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.add_connections("a1", [REMOVAL]),
        lambda r: r.add_connections("a1", CREDENTIAL),
        lambda r: r.remove_connections("a1", [REPLACEMENT]),
        lambda r: r.switch_connections("a1", [{"old_connection_id": "c1"}]),
        lambda r: r.upgrade_connections("a1", "c1"),
        lambda r: r.create_schedule("a1", {"start": {}}),
        lambda r: r.create_trigger("a1", CONFIG),
        lambda r: r.count_connection_usage("c1"),
        lambda r: r.count_connection_usage([3]),
        lambda r: r.trace_connection_usage(""),
        lambda r: r.get(""),
        lambda r: r.get(None),
        lambda r: r.get(".."),
    ],
)
async def test_arguments_are_checked_before_sending(call):
    """Of the wrong type, one where several are wanted, empty."""
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError, ConfigurationError)):
        await call(automations(recorder))
    assert not recorder.requests


async def test_a_schedule_is_sent_as_it_was_built():
    """What was left out stays out; the answer's times are aware."""
    recorder = Recorder()
    recorder.answers = [
        {"config": {"start": {}}, "enabled": True, "next_run_times": ["2026-03-02T08:00:00Z"]}
    ]
    schedule = await automations(recorder).create_schedule("a1", CONFIG)
    assert schedule.next_run_times == (datetime(2026, 3, 2, 8, tzinfo=UTC),)
    assert recorder.body == {
        "config": {
            "start": {
                "start_date": {"year": 2026, "month": 3, "day": 1},
                "time": {"hours": 9},
                "time_zone": "Europe/Berlin",
            },
            "repeat_interval": {"unit": "FREQUENCY_UNIT_WEEK", "interval": 2},
            "weekly_pattern": {"days": ["DAY_OF_WEEK_MONDAY", "DAY_OF_WEEK_FRIDAY"]},
            "end": {"end_type": "SCHEDULE_END_TYPE_AFTER_OCCURRENCES", "max_occurrences": 10},
        }
    }


async def test_a_window_of_a_schedule_is_sent_with_its_offset():
    """Aware times keep the moment they mean."""
    recorder = Recorder()
    start = datetime(2026, 3, 1, tzinfo=UTC)
    window = models.TimeWindow(start_time=start, end_time=start + timedelta(days=1))
    await automations(recorder).update_schedule(
        "a1", models.ScheduleConfig(start=models.ScheduleStart(), active_window=window)
    )
    assert recorder.last.method == "PATCH"
    assert recorder.body["config"]["active_window"]["end_time"] == "2026-03-02T00:00:00Z"


async def test_answers_with_one_member_are_unwrapped():
    """The automation, the schedule, the connections themselves; `DecodeError` where there is none."""
    recorder = Recorder()
    resource = automations(recorder)
    recorder.answers = [
        {"automation": {"name": AUTOMATION, "display_name": "x", "version": "0.2"}},
        {"schedule": {"config": {"start": {}}, "enabled": False}},
        {"connections": [{"book": "email", "book_version": "1"}]},
        {"connection_counts": [{"connection_id": "c1", "count": 2}]},
        {},
        {},
        {},
    ]
    assert (await resource.add_connections("a1", [CREDENTIAL])).version == "0.2"
    assert (await resource.disable_schedule("a1")).enabled is False
    [found] = await resource.extract_connections("a1", filter='stage = "DRAFT"')
    assert found.book == "email"
    [usage] = await resource.count_connection_usage(["c1"])
    assert usage.count == 2
    assert await resource.delete_connection("c1") == ()
    assert await resource.delete_schedule("a1") is None
    with pytest.raises(DecodeError, match="schedule"):
        await resource.enable_schedule("a1")


async def test_an_invocation_carries_its_values():
    """In the words of the API, and the run's name becomes a `StartedRun`."""
    recorder = Recorder()
    recorder.answers = [{"run_id": "r1"}]
    run = await automations(recorder).invoke("a1", {"Amount": 5000}, stage="draft")
    assert (run.id, run.automation) == ("r1", AUTOMATION)
    assert recorder.body == {
        "stage": "AUTOMATION_STAGE_DRAFT",
        "inputs": {"Amount": {"number": {"lo": 5000}}},
    }
    assert not recorder.last.repeatable


async def test_a_run_started_in_another_organization_can_be_waited_for():
    """It was named on purpose when it was started."""
    recorder = Recorder()
    recorder.answers = [{"run_id": "r1"}]
    run = await automations(recorder).invoke("a1", organization_id="o2")
    assert run.name == "organizations/o2/workspaces/w1/automations/a1/runs/r1"
    assert RunReader(recorder, SCOPE, RecentStarts(), OwnStarts()).waited(run).key == run.name


def changed(path, value):
    """CONFIG with another value at a dotted path."""

    def put(model, names):
        inner = value if len(names) == 1 else put(getattr(model, names[0]), names[1:])
        return msgspec.structs.replace(model, **{names[0]: inner})

    return put(CONFIG, path.split("."))


DAILY = models.RepeatInterval(unit=models.FrequencyUnit.DAY)
WINDOW = models.TimeWindow(
    start_time=datetime(2026, 1, 2, tzinfo=UTC), end_time=datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("path", "value", "kind", "says"),
    [
        ("start", None, TypeError, "config.start must be a model"),
        (
            "start.start_date",
            date(2026, 3, 1),
            TypeError,
            "config.start.start_date must be a model of its own",
        ),
        (
            "start.start_date",
            models.Date(year=2026, month=2, day=30),
            ValueError,
            "must be a date, got 2026-2-30",
        ),
        ("start.time", time(9), TypeError, "config.start.time must be"),
        ("start.time", models.TimeOfDay(hours=24), ValueError, "config.start.time must be a time of day"),
        ("start.time", models.TimeOfDay(nanos=10**9), ValueError, "config.start.time must be a time of day"),
        (
            "start.time_zone",
            "Europe/Atlantis",
            ValueError,
            "config.start.time_zone must be an IANA time zone",
        ),
        ("start.time_zone", "../etc/passwd", ValueError, "config.start.time_zone must be an IANA time zone"),
        (
            "repeat_interval.interval",
            "two",
            TypeError,
            "config.repeat_interval.interval must be int, got str",
        ),
        (
            "repeat_interval.interval",
            True,
            TypeError,
            "config.repeat_interval.interval must be int, got bool",
        ),
        ("repeat_interval.interval", -1, ValueError, "must be 1 or more"),
        ("repeat_interval.interval", 2**31, ValueError, "must be 1 or more"),
        ("repeat_interval.interval", 2**70, ValueError, "within 64 bits"),
        ("repeat_interval.unit", "WEEKS", ValueError, "unit must be one of .*FREQUENCY_UNIT_WEEK"),
        ("repeat_interval.unit", models.FrequencyUnit.UNSPECIFIED, ValueError, "unit must be a unit of time"),
        ("repeat_interval", DAILY, ValueError, "weekly_pattern must come with .*WEEK"),
        ("weekly_pattern.days", (), ValueError, "at least one day"),
        ("weekly_pattern.days", (models.DayOfWeek.UNSPECIFIED,), ValueError, "at least one day"),
        ("weekly_pattern.days", ("MONDAY",), ValueError, r"days\[0\] must be one of DAY_OF_WEEK_MONDAY"),
        (
            "weekly_pattern.days",
            "MONDAY",
            TypeError,
            "config.weekly_pattern.days must be a sequence, got str",
        ),
        ("monthly_pattern", models.DayOfMonthPattern(day_number=3), ValueError, "at most one pattern"),
        ("active_window", WINDOW, ValueError, "end_time must be"),
        (
            "active_window",
            msgspec.structs.replace(WINDOW, end_time=datetime(2026, 1, 3)),
            ValueError,
            "time zone",
        ),
        ("end.max_occurrences", 0, ValueError, "max_occurrences must be 1 or more"),
        ("end.end_type", models.ScheduleEndType.ON_DATE, ValueError, "end_date must be given"),
        (
            "end",
            models.ScheduleEnd(
                end_type=models.ScheduleEndType.ON_DATE, end_date=models.Date(year=2026, month=2, day=1)
            ),
            ValueError,
            "end_date must be 2026-03-01 or later",
        ),
    ],
    ids=str,
)
async def test_schedules_are_checked_before_they_are_sent(path, value, kind, says):
    """By the types and notes of the schema; nothing leaves, and the member is named."""
    recorder = Recorder()
    resource = automations(recorder)
    for method in (resource.create_schedule, resource.update_schedule):
        with pytest.raises(kind, match=says):
            await method("a1", changed(path, value))
    assert not recorder.requests


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (models.DayOfMonthPattern(day_number=31), True),
        (models.DayOfMonthPattern(), False),
        (models.DayOfMonthPattern(day_number=32), False),
        (
            models.DayOfMonthPattern(
                ordinal_day=models.OrdinalDayOfWeek(ordinal=models.Ordinal.LAST, day=models.DayOfWeek.FRIDAY)
            ),
            True,
        ),
    ],
)
async def test_a_day_of_a_month_is_a_number_or_an_ordinal(pattern, fits):
    """Alone, or within the pattern of a year."""
    start = CONFIG.start
    monthly = models.ScheduleConfig(start=start, monthly_pattern=pattern)
    yearly = models.ScheduleConfig(
        start=start, yearly_pattern=models.MonthPattern(month=models.Month.MAY, day_pattern=pattern)
    )
    for config in (monthly, yearly):
        recorder = Recorder()
        if fits:
            await automations(recorder).create_schedule("a1", config)
            assert recorder.requests
        else:
            with pytest.raises(ValueError, match=r"day_number|either"):
                await automations(recorder).create_schedule("a1", config)


async def test_a_schedule_that_was_read_may_be_sent_back():
    """With words that this version does not know, which only the API can judge."""
    read = msgspec.json.encode({"start": {}, "repeat_interval": {"unit": "FREQUENCY_UNIT_FORTNIGHT"}})
    config = msgspec.json.decode(read, type=models.ScheduleConfig)
    recorder = Unchecked()
    await automations(recorder).create_schedule("a1", config)
    assert recorder.body == {"config": {"start": {}, "repeat_interval": {"unit": "FREQUENCY_UNIT_FORTNIGHT"}}}


class Unchecked(Recorder):
    """Takes requests beyond the document."""

    async def send(self, request, decoder, **_):
        self.requests.append(request)
        return decoder.decode(b"{}")


async def test_full_names_stand_for_ids_in_bodies_too():
    """Of connections, in lists and in models; a name of another workspace is refused."""
    recorder, full = Recorder(), f"{WORKSPACE}/connections/c1"
    resource = automations(recorder)
    await resource.count_connection_usage([full, "c2"])
    assert recorder.body == {"connection_ids": ["c1", "c2"]}
    await resource.switch_connections(
        "a1",
        [msgspec.structs.replace(REPLACEMENT, old_connection_id=full, new_connection_id="connections/c2")],
    )
    assert recorder.body["switches"][0]["old_connection_id"] == "c1"
    assert recorder.body["switches"][0]["new_connection_id"] == "c2"
    await resource.remove_connections("a1", [msgspec.structs.replace(REMOVAL, connection_id=full)])
    assert recorder.body["removals"][0]["connection_id"] == "c1"
    await resource.add_connections("a1", [msgspec.structs.replace(CREDENTIAL, connection_id=full)])
    assert recorder.body["connections"][0]["connection_id"] == "c1"
    sent_before = len(recorder.requests)
    with pytest.raises(ValueError, match="contradict"):
        await resource.count_connection_usage(["organizations/o1/workspaces/w2/connections/c1"])
    assert len(recorder.requests) == sent_before


@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
async def test_a_deletion_needs_no_answer(body):
    """It was carried out: an empty body is not an error that makes people try again."""

    class Silent(Unchecked):
        async def send(self, request, decoder, **_):
            self.requests.append(request)
            return decoder.decode(body)

    resource = automations(Silent())
    assert await resource.delete_schedule("a1") is None
    assert await resource.delete_connection("c1") == ()
