"""Runs in a list in memory, read through the interface that the shared polls and following use."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from kognitos_async import NotFoundError, Run, RunOutput, RunStatus, Stage
from kognitos_async.paging import Page

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 100


def run_of(run_id, status="Running", *, created=EPOCH, process="p", outputs=()):
    return Run(
        id=run_id,
        name=f"name of {run_id}",
        agent_id="a",
        process_id=process,
        stage=Stage.PUBLISHED,
        status=RunStatus(status),
        created_at=created,
        outputs=outputs,
    )


class FakeReader:
    """Runs that settle at set times of the loop's clock; counts what is read.

    `before_read` and `before_page` may raise or change the world. Pages are cut from the list as it is when
    the first of them is read.
    """

    def __init__(self, order="newest", *, latency=0.05, list_outputs=True, seed=1):
        self.order = order
        self.latency = latency
        self.silence = 0.0
        """Seconds more that each page takes."""
        self.list_outputs = list_outputs
        self.chance = random.Random(seed)
        self.born = {}
        self.ends = {}
        self.word = {}
        self.group = {}
        self.gone = set()
        self.hidden = set()
        self.reads = Counter()
        self.pages = 0
        self.under_way = 0
        self.before_read = None
        self.before_page = None
        self.change_token = None
        self._lists = {}
        self._by_birth = {}
        self._made = {}

    @property
    def requests(self):
        return self.reads.total() + self.pages

    def add(self, run_id, settles, *, born=0.0, word="Succeeded", process="p"):
        self.born[run_id] = born
        self.ends[run_id] = settles
        self.word[run_id] = word
        self.group[run_id] = ("a", process)
        self._forget_order()

    def add_older(self, count, process="p"):
        """Runs that settled before anything else began."""
        moments = {f"old{number}": -1e6 + number for number in range(count)}
        self.born.update(moments)
        self.ends.update(moments)
        self.word.update(dict.fromkeys(moments, "Succeeded"))
        self.group.update(dict.fromkeys(moments, ("a", process)))
        self._forget_order()

    def _forget_order(self):
        self._lists.clear()
        self._by_birth.clear()

    def peek(self, run_id, *, outputs=True):
        return self._shown(run_id, asyncio.get_running_loop().time(), outputs)

    def _shown(self, run_id, now, outputs):
        word = self.word[run_id] if now >= self.ends[run_id] else "Running"
        has_outputs = outputs and word == "Succeeded"
        key = run_id, word, has_outputs, self.born[run_id], self.group[run_id]
        if (run := self._made.get(key)) is None:
            shown = (RunOutput(name="total", value=1),) if has_outputs else ()
            created = EPOCH + timedelta(seconds=self.born[run_id])
            run = run_of(run_id, word, created=created, process=self.group[run_id][1], outputs=shown)
            self._made[key] = run
        return run

    async def read(self, run_id):
        self.reads[run_id] += 1
        self.under_way += 1
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.under_way -= 1
        if self.before_read is not None:
            self.before_read(run_id)
        if run_id not in self.ends or run_id in self.gone:
            raise NotFoundError(f"no run {run_id}", status=404)
        return self.peek(run_id)

    def key(self, run):
        return run.id

    largest_page = PAGE
    filters_by_time = False

    def occurrence(self, run):
        return run.status, None

    async def read_page(self, group, token, since=None, *, size=None):
        size = size or PAGE
        self.pages += 1
        self.under_way += 1
        try:
            await asyncio.sleep(self.latency + self.silence)
        finally:
            self.under_way -= 1
        if self.before_page is not None:
            self.before_page(group, token)
        ids = self._lists.get(group) or self._lists.setdefault(group, self._ordered(group))
        start = int(token or 0)
        now = asyncio.get_running_loop().time()
        items = [
            self._shown(run_id, now, self.list_outputs)
            for run_id in ids[start : start + size]
            if run_id not in self.hidden and run_id not in self.gone
        ]
        following = str(start + size) if start + size < len(ids) else None
        if self.change_token is not None:
            following = self.change_token(token, following)
        return Page(tuple(items), following)

    def _ordered(self, group):
        found = self._by_birth.get(group[:2])
        if found is None:
            found = sorted((i for i, g in self.group.items() if g == group[:2]), key=self.born.__getitem__)
            self._by_birth[group[:2]] = found
        ids = found.copy()
        if self.order == "newest":
            ids.reverse()
        elif self.order == "shuffled":
            self.chance.shuffle(ids)
        return ids

    def group_of(self, run):
        return run.agent_id, run.process_id

    def created(self, run):
        return run.created_at

    def incomplete(self, run):
        return run.succeeded and not run.outputs


def copy_of(run, **fields):
    return msgspec.structs.replace(run, **fields)
