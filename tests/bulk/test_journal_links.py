"""A journal that is reached through links: its companion, its lock and its place are those of the file."""

from __future__ import annotations

import shutil

import pytest

from kognitos_async import Journal, JournalError
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.cli.limits import read_limit, write_limit
from tests.bulk.journals import RunRecord, record, summary, writer
from tests.bulk.test_journal_file import within_commit
from tests.bulk.test_journal_lock import LOCK, elsewhere


def linked(tmp_path, how):
    """The path of a journal that need not exist, and a path that leads to it."""
    path = tmp_path / "data" / "job"
    path.parent.mkdir()
    if how == "file":
        link = tmp_path / "link"
        link.symlink_to(path)
    elif how == "relative":
        link = path.with_name("link")
        link.symlink_to("job")
    elif how == "chain":
        link, between = tmp_path / "link", tmp_path / "between"
        between.symlink_to(path)
        link.symlink_to(between)
    else:
        (tmp_path / "folder").symlink_to(path.parent)
        link = tmp_path / "folder" / "job"
    return path, link


WAYS = pytest.mark.parametrize("how", ["file", "relative", "chain", "folder"])


@WAYS
async def test_a_companion_of_another_file_is_not_replayed_through_a_link(tmp_path, how):
    """The journal is refused and not changed, read or written; without the companion it is what it was."""
    path, link = linked(tmp_path, how)
    await record(tmp_path / "old", "old")
    await record(path, "kept")
    cut_short = within_commit(tmp_path / "old", tmp_path / "cut")
    companion = path.with_name("job-journal")
    shutil.copy(cut_short.with_name("old-journal"), companion)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"^{companion} belongs to another file than journal {link}:"):
        summary(link)
    with pytest.raises(JournalError, match=rf"^{companion} belongs to another file than journal {link}:"):
        await record(link, "new")
    assert path.read_bytes() == before
    companion.unlink()
    with Journal(link) as journal:
        assert [entry.name for entry in journal.entries()] == ["kept"]


@WAYS
async def test_a_companion_is_replayed_through_a_link_into_its_own_file(tmp_path, how):
    """As without the link."""
    path, link = linked(tmp_path, how)
    await record(tmp_path / "old", "old")
    cut_short = within_commit(tmp_path / "old", tmp_path / "cut")
    shutil.move(cut_short, path)
    shutil.move(cut_short.with_name("old-journal"), path.with_name("job-journal"))
    await record(link, "new", run_id="r2")
    assert summary(path)["settled"] == 2


@WAYS
async def test_a_journal_is_created_where_a_link_leads(tmp_path, how):
    """The link stays; a companion left there, of a journal that is gone, is not replayed."""
    path, link = linked(tmp_path, how)
    await record(tmp_path / "old", "old")
    cut_short = within_commit(tmp_path / "old", tmp_path / "cut")
    shutil.copy(cut_short.with_name("old-journal"), path.with_name("job-journal"))
    with pytest.raises(JournalError, match=f"^there is no journal {path}, but {path}-journal is left from"):
        await record(link, "new")
    assert not path.exists()
    path.with_name("job-journal").unlink()
    with pytest.raises(JournalError, match=f"^there is no journal {link}$"):
        summary(link)
    await record(link, "new")
    assert summary(path)["settled"] == 1
    assert how == "folder" or link.is_symlink()
    assert {file.name for file in path.parent.iterdir()} == {"job"} | (
        {"link"} if how == "relative" else set()
    )


async def test_links_that_lead_nowhere_are_refused(tmp_path):
    """Into a folder that is missing, or to themselves."""
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "job")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("lost", "loop"):
        with pytest.raises(JournalError, match=r"there is no journal|cannot be read"):
            summary(tmp_path / name)
        with pytest.raises(JournalError, match="cannot be"):
            await record(tmp_path / name, "a")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["loop", "lost"]


@WAYS
async def test_a_journal_has_one_lock_whatever_way_leads_to_it(tmp_path, how):
    """In this process and in others."""
    path, link = linked(tmp_path, how)
    for here, there in ((path, link), (link, path)):
        job, reader = JournalFile(here, writing=True), JournalFile(there, writing=False)
        assert reader.in_use
        with pytest.raises(JournalError, match="in use by this process"):
            JournalFile(there, writing=True)
        code, output = await elsewhere(LOCK, there)
        assert code
        assert "in use by another process" in output
        reader.close()
        job.close()


@pytest.mark.parametrize("change", ["link", "file"])
async def test_a_job_ends_when_its_link_leads_elsewhere(tmp_path, change):
    """The next call would find another journal there; nothing more is started."""
    path, link = linked(tmp_path, "folder")
    async with writer(link) as journal:
        await journal.begin("a", b"1")
        await journal.about_to_send("a", 1)
        (tmp_path / "other").mkdir()
        if change == "link":
            shutil.copy(path, tmp_path / "other" / "job")
        else:
            path.rename(tmp_path / "other" / "job")
        (tmp_path / "folder").unlink()
        (tmp_path / "folder").symlink_to(tmp_path / "other")
        with pytest.raises(JournalError, match=f"journal {link} was deleted, moved or replaced"):
            await journal.started("a", RunRecord("r"))


@WAYS
def test_the_limit_of_a_job_is_set_through_a_link(tmp_path, how):
    """The job may know another way to the journal."""
    path, link = linked(tmp_path, how)
    write_limit(link, 5)
    assert read_limit(path) == 5
