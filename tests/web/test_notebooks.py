"""What a notebook shows of a run, a page, a list and an outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from kognitos_async import NotSentError, Page, Pager, PlatformRun, Run, RunOutcome, RunOutput, RunRequest
from kognitos_async.rest_v2.models import RunStatus, Stage

SCRIPT = "<script>alert('1')</script>"


class Table(HTMLParser):
    """The texts of a table, row by row; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.caption, self.open = [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ("table", "caption", "thead", "tbody", "tr", "th", "td", "time")
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "caption" in self.open:
            self.caption += data
        else:
            self.rows[-1][-1] += data


def run_of(number=1, name="invoice"):
    return Run(
        id=f"run-{number}",
        name=name,
        agent_id="agent-1",
        process_id="process-1",
        stage=Stage.PUBLISHED,
        status=RunStatus.SUCCEEDED,
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        outputs=(RunOutput(name="total", value=129.5),),
    )


def test_a_run_shows_its_members_and_outputs():
    rows = dict(Table(run_of(name=SCRIPT)._repr_html_()).rows)
    assert rows["name"] == SCRIPT
    assert (rows["status"], rows["outputs"], rows["id"]) == ("Succeeded", "total: 129.5", "run-1")
    assert rows["created at"] == "2026-03-01 12:00:00+00:00"


def test_a_page_is_a_table_and_says_whether_there_are_more():
    table = Table(Page((run_of(1), run_of(2)), "token")._repr_html_())
    assert table.caption == "Page of 2 items, there is another page"
    assert table.rows[0] == ["name", "status", "created at", "outputs", "id"]
    assert [row[-1] for row in table.rows[1:]] == ["run-1", "run-2"]
    assert Table(Page(())._repr_html_()).caption == "Page of 0 items, the last page"
    assert Table(Page((SCRIPT,))._repr_html_()).rows[1] == [repr(SCRIPT)]


async def test_a_collected_list_is_a_table_and_a_list():
    async def fetch(_token):
        return Page(tuple(run_of(number) for number in range(150)))

    runs = await Pager(fetch, None).collect()
    assert isinstance(runs, list)
    assert runs == [run_of(number) for number in range(150)]
    table = Table(runs._repr_html_())
    assert table.caption == "150 items, the first 100 of them shown"
    assert len(table.rows) == 101


def test_an_outcome_shows_its_error():
    request = RunRequest(process_id="process-1", name=SCRIPT)
    rows = dict(Table(RunOutcome(request=request, error=NotSentError(SCRIPT))._repr_html_()).rows)
    assert rows["request"] == SCRIPT
    assert rows["error"] == f"NotSentError: {SCRIPT}"
    assert (rows["status"], rows["run"]) == ("", "")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"failed": {"description": SCRIPT}}, SCRIPT),
        ({"awaiting_guidance": {"description": "Which line?"}}, "Which line?"),
        ({"stopped": {"reason": "by hand"}}, "by hand"),
        ({"completed": {"outputs": {"total": {"text": "1"}}}}, ""),
    ],
)
def test_a_platform_run_says_why(state, reason):
    run = PlatformRun(name="organizations/o/workspaces/w/automations/a/runs/r", state_object=state)
    rows = dict(Table(run._repr_html_()).rows)
    assert (rows["id"], rows["reason"], rows["state"]) == ("r", reason, next(iter(state)))


def test_long_texts_are_cut():
    assert max(len(text) for _, text in Table(run_of(name="x" * 10_000)._repr_html_()).rows) == 500


def test_a_pager_says_what_it_is():
    async def fetch(_token):
        raise AssertionError

    assert "a listing not fetched yet" in repr(Pager(fetch, None))
    assert "collect()" in repr(Pager(fetch, None))
