"""A model of a service, its clocks and other clients, in which starts lose their answers.

Nothing sleeps and nothing is sent: time is a number.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kognitos_async.errors import DecodeError
from kognitos_async.paging import Page, PartialPage
from kognitos_async.rest_v2.look_up import LookUps
from kognitos_async.rest_v2.models import Run, RunRequest, RunStatus, Stage
from kognitos_async.rest_v2.scope import Scope
from kognitos_async.server_clock import ServerClock
from kognitos_async.uncertain_start import Absent, Answered, Found, OwnStarts

START = 1_780_000_000.0
HOUR = 3600.0
DELAY = 5.0

RENAMINGS = {
    "as sent": lambda name: name,
    "trimmed": str.strip,
    "small": str.lower,
    "single blanks": lambda name: " ".join(name.split()),
    "NFC": lambda name: unicodedata.normalize("NFC", name),
    "dashes": lambda name: "-".join(name.split()),
    "NFKC": lambda name: unicodedata.normalize("NFKC", name),
}
NAMES = ("Invoice {}", "invoice  {}", " Invoice {} ", "Cafe\u0301 {}", "n\u00ba {}", "plain-{}")


@dataclass
class Clock:
    """Shows the true time plus the offset it was last set to."""

    settings: list[tuple[float, float]] = field(default_factory=lambda: [(-1e12, 0.0)])

    def set_at(self, when: float, off: float) -> None:
        self.settings.append((when, off))
        self.settings.sort()

    def shown(self, when: float) -> float:
        return START + when + self.off(when)

    def off(self, when: float) -> float:
        return max(setting for setting in self.settings if setting[0] <= when)[1]


class World:
    """A service with one list. `true` maps each start to its run's id, None if it made none."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.wall, self.stamping, self.gateway = Clock(), Clock(), Clock()
        self.whole_seconds = chance.random() < 0.3
        self.renamed = "as sent"
        self.lag = 0.0
        self.order = chance.choice(["newest", "oldest", "any"])
        self.runs: list[tuple[float, Run]] = []
        self.page_size = chance.choice([3, 7, 100])
        self.pages = 0
        self.undecoded: tuple[bytes, ...] = ()
        self.clock = self.process()

    # What a client sees of it

    def process(self) -> ServerClock:
        """The clocks as a new process sees them."""
        return ServerClock(wall=lambda: self.wall.shown(self.now), monotonic=lambda: self.now + 77.0)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def read_page(self, group, token, since=None):
        del group, since
        self.pages += 1
        self.now += self.chance.uniform(0.01, 0.2)
        begin = int(token or 0)
        if not begin:
            self.shown = [run for made, run in self.runs if made + self.lag <= self.now]
            if self.order == "any":
                self.chance.shuffle(self.shown)
            else:
                self.shown.sort(key=lambda run: run.created_at, reverse=self.order == "newest")
        end = begin + self.page_size
        self.note_date()
        following = str(end) if end < len(self.shown) else None
        if self.undecoded:
            bad = DecodeError("not as documented", path="$", body=b"", undecoded=self.undecoded)
            return PartialPage(tuple(self.shown[begin:end]), following, error=bad)
        return Page(tuple(self.shown[begin:end]), following)

    def key(self, run):
        return run.id

    def created(self, run):
        return run.created_at

    def note_date(self):
        self.clock.note_date(
            datetime.fromtimestamp(self.gateway.shown(self.now), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        )

    # What happens in it

    def make(self, name: str, when: float) -> Run:
        """Create a run of that name, stored as the service stores names, at a true time."""
        stamp = self.stamping.shown(when)
        run = Run(
            id=f"r{len(self.runs)}",
            name=RENAMINGS[self.renamed](name),
            agent_id="a",
            process_id="p",
            stage=Stage.PUBLISHED,
            status=RunStatus.RUNNING,
            created_at=datetime.fromtimestamp(int(stamp) if self.whole_seconds else stamp, UTC),
        )
        self.runs.append((when, run))
        return run


class Client:
    """Starts runs in the world and looks them up as `client.runs` does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.own = OwnStarts()
        self.look_ups = LookUps(world, Scope("a"), world, self.own)

    def start(self, name: str, *, answered: bool, processed: bool):
        """The window of one start, and the id of the run that it made."""
        world = self.world
        request = RunRequest(process_id="p", name=name)
        window = world.clock.window()
        sent = world.clock.monotonic()
        world.now += world.chance.uniform(0.005, 0.5)
        run = world.make(name, world.now) if processed else None
        world.now += world.chance.uniform(0.005, 2.0 if answered else 30.0)
        if answered:
            world.note_date()
            self.look_ups.note(request, Answered(run, sent, world.clock.monotonic()))
        return request, window, None if run is None else run.id


def scene(seed: int) -> tuple[World, Client]:
    """A world with a history and clocks of arbitrary offsets."""
    chance = random.Random(seed)
    world = World(chance)
    off = [0.0, 0.0, 0.3, -1.5, 40.0, -300.0, HOUR, -5 * HOUR, 9 * HOUR]
    if chance.random() < 0.6:
        world.stamping.set_at(-1e9, chance.choice(off))
        world.gateway.set_at(-1e9, chance.choice(off))
        world.wall.set_at(-1e9, chance.choice([0.0, 0.0, 0.5, -2.0, 120.0, -HOUR]))
    for clock, often in ((world.wall, 0.3), (world.stamping, 0.2), (world.gateway, 0.2)):
        if chance.random() < often:
            clock.set_at(chance.uniform(0, 300), chance.choice(off))
    world.renamed = chance.choice([*RENAMINGS, "as sent", "as sent", "as sent"])
    world.lag = chance.choice([0.0, 0.5, 4.0])
    world.clock = world.process()
    return world, Client(world)


def judge(answer, made: str | None) -> str:
    """The verdict on an answer, by what really happened."""
    if isinstance(answer, Found):
        return "found" if answer.run.id == made else "WRONG RUN"
    if isinstance(answer, Absent):
        return "absent" if made is None else "STARTED TWICE"
    return "undecided"
