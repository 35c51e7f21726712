"""Lost starts in 1,000 random worlds: none is attributed to another's run, none is made twice.

KOGNITOS_TEST_WORLDS sets how many (1,000 unless set).
"""

from __future__ import annotations

import os
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async.rest_v2.models import Stage
from kognitos_async.server_clock import StartWindow
from kognitos_async.shared_reading import gathered
from kognitos_async.uncertain_start import Absent, Undecided, name_key
from tests.unit.lost_starts import DELAY, HOUR, NAMES, RENAMINGS, Client, World, judge, scene

WORLDS = int(os.environ.get("KOGNITOS_TEST_WORLDS", "1000"))


async def life(seed: int) -> list[str]:
    """What happens to the lost starts of one world."""
    world, client = scene(seed)
    chance = random.Random(-seed)
    names = [chance.choice(NAMES).format(f"{seed} {number}") for number in range(8)]
    theirs = chance.random() < 0.5
    answers = []
    for number in range(20):  # the history
        world.make(f"old {number}", -chance.uniform(60, 48 * HOUR))
    if world.renamed == "dashes":  # which nothing but an answer can show
        client.start("has blanks", answered=True, processed=True)
    for name in names:
        world.now += chance.uniform(0, 30)
        if theirs and chance.random() < 0.3:
            # Somebody's run of the same name from before; where evidence of the clocks exists, at the very
            # time that a difference of clocks would make it ours.
            shift = chance.choice([60.0, 300.0, HOUR, 5 * HOUR, 40 * HOUR])
            if not client.own.latest(1):
                shift += chance.uniform(60, 90)
            if world.stamping.off(world.now - shift) == world.stamping.off(world.now):
                # A stamping clock that was set back repeats its times: nobody can tell such runs apart.
                world.make(name, world.now - shift)
        answered = chance.random() < 0.5
        processed = answered or chance.random() < 0.5
        request, window, made = client.start(name, answered=answered, processed=processed)
        if answered:
            continue
        known = {run.id for _, run in world.runs if client.own.get(run.id) is not None}
        if chance.random() < 0.2:
            # The process ends; another one goes on with what the journal kept.
            window = msgspec.json.decode(msgspec.json.encode(window), type=StartWindow)
            world.clock = world.process()
            client = Client(world)
        world.now += DELAY
        answer = await client.look_ups.look_up(request, window, known_ids=known)
        answers.append(judge(answer, made))
    return answers


async def test_no_look_up_is_wrong_in_any_world():
    """With clocks that differ and are set, names stored otherwise, other clients, and restarted processes."""
    count = Counter()
    for seed in range(WORLDS):
        answers = await life(seed)
        assert not {"WRONG RUN", "STARTED TWICE"} & set(answers), f"seed {seed}: {answers}"
        count.update(answers)
    assert count["found"] > WORLDS
    assert count["absent"] > WORLDS / 2


@pytest.mark.parametrize("off", [0.0, 2.0, -2.0])
async def test_every_look_up_decides_in_a_calm_world(off):
    """With clocks within seconds and unique names, no start stays in doubt."""
    for seed in range(100):
        world = World(random.Random(seed))
        world.wall.set_at(-1e9, off)
        world.clock = world.process()
        client = Client(world)
        for number in range(6):
            processed = world.chance.random() < 0.5
            request, window, made = client.start(f"{number}", answered=False, processed=processed)
            await world.sleep(DELAY)
            answer = await client.look_ups.look_up(request, window)
            assert judge(answer, made) in ("found", "absent"), f"seed {seed}: {answer}"
            if world.chance.random() < 0.5:
                client.start(f"{number} too", answered=True, processed=True)


async def lost(world, *, processed=True, name="n", **options):
    client = Client(world)
    request, window, made = client.start(name, answered=False, processed=processed)
    await world.sleep(DELAY)
    return await client.look_ups.look_up(request, window, **options), made


def calm(seed=1):
    return World(random.Random(seed))


async def test_two_runs_of_the_name_are_undecided():
    """Likewise one that another start in doubt of the same name may have made."""
    world = calm()
    client = Client(world)
    request, window, _ = client.start("n", answered=False, processed=True)
    world.make("n", world.now + 1)
    await world.sleep(DELAY)
    answer = await client.look_ups.look_up(request, window)
    assert isinstance(answer, Undecided)
    assert "2 runs" in answer.reason
    answer, _ = await lost(calm(), in_doubt_too=True)
    assert isinstance(answer, Undecided)


async def test_runs_of_other_starts_are_excluded():
    """The start is then proven absent."""
    world = calm()
    other = world.make("n", -HOUR)
    answer, _ = await lost(world, processed=False)
    assert isinstance(answer, Undecided)
    world = calm()
    other = world.make("n", -HOUR)
    answer, _ = await lost(world, processed=False, known_ids={other.id})
    assert answer == Absent()


async def test_a_run_created_long_after_the_start_is_undecided():
    """It belongs to another client, or a clock is wrong."""
    world = calm()
    client = Client(world)
    request, window, _ = client.start("n", answered=False, processed=False)
    await world.sleep(3 * HOUR)
    world.make("n", world.now)
    answer = await client.look_ups.look_up(request, window)
    assert isinstance(answer, Undecided)


@pytest.mark.parametrize("item", [b'{"name": " N ", "id": 5}', b'{"name": null}', b"7"])
async def test_an_item_that_cannot_be_decoded_may_be_the_run(item):
    """It prevents a decision, unless its name differs."""
    for processed in (True, False):
        world = calm()
        world.undecoded = (item,)
        answer, _ = await lost(world, processed=processed)
        assert isinstance(answer, Undecided)
        assert "cannot be decoded" in answer.reason
    world = calm()
    world.undecoded = (b'{"name": "another"}',)
    answer, _ = await lost(world, processed=False)
    assert answer == Absent()


async def test_a_run_of_an_unknown_stage_may_be_the_run():
    """An unknown stage excludes nothing; another known stage does."""
    for stage, expected in (("PUBLISHED", Undecided), ("Draft", Absent)):
        world = calm()
        run = world.make("n", world.now)
        world.runs[-1] = (world.now, msgspec.structs.replace(run, stage=Stage(stage)))
        answer, _ = await lost(world, processed=False)
        assert isinstance(answer, expected)


async def test_a_list_that_lacks_existing_runs_is_read_again():
    """If it still lacks them, absence is not proven."""
    world = calm()
    world.lag = 8.0
    client = Client(world)
    request, window, _ = client.start("n", answered=False, processed=False)
    client.start("known", answered=True, processed=True)
    await world.sleep(1.0)
    began = world.now
    assert await client.look_ups.look_up(request, window) == Absent()
    assert world.now > began + 3
    world.lag = 1e9
    answer = await client.look_ups.look_up(request, window)
    assert isinstance(answer, Undecided)
    assert "certainly exist" in answer.reason


async def test_a_start_cancelled_after_its_answer_is_found():
    """The client knows the run as its own, though the caller was cancelled before recording it."""
    world = calm()
    client = Client(world)
    window = world.clock.window()
    request, _, made = client.start("n", answered=True, processed=True)
    await world.sleep(DELAY)
    answer = await client.look_ups.look_up(request, window)
    assert judge(answer, made) == "found"
    earlier = world.clock.window_at(window.since)
    assert judge(await client.look_ups.look_up(request, earlier), made) == "found"


async def test_a_long_history_newest_first_is_not_read_to_its_end():
    """Reading ends a day before the start; lists in other orders are read completely."""
    for order, few in (("newest", True), ("oldest", False), ("any", False)):
        world = calm()
        world.order, world.page_size = order, 100
        for number in range(3000):
            world.make(f"old {number}", -number * 120.0)
        assert await lost(world, processed=False) == (Absent(), None)
        assert (world.pages < 12) == few, order


async def test_many_look_ups_share_a_reading():
    """Fifty look-ups over 5,000 runs read the list once, in any order."""
    world = calm()
    world.order, world.page_size = "any", 100
    for number in range(5000):
        world.make(f"old {number}", -number * 3.0)
    client = Client(world)
    starts = [client.start(f"n {number}", answered=False, processed=number % 2 == 0) for number in range(50)]
    await world.sleep(DELAY)
    answers = await gathered([client.look_ups.look_up(request, window) for request, window, _ in starts])
    verdicts = Counter(judge(answer, made) for answer, (_, _, made) in zip(answers, starts, strict=True))
    assert verdicts == {"found": 25, "absent": 25}
    assert world.pages == 51


@given(st.text(max_size=30))
def test_names_that_a_service_may_store_alike_have_one_key(name):
    """However it trims, folds and normalizes them; the key of a key is itself."""
    key = name_key(name)
    assert name_key(key) == key
    for rename in RENAMINGS.values():
        if rename is not RENAMINGS["dashes"]:
            assert name_key(rename(name)) == key
    assert name_key(name.casefold()) == name_key(f"\u200b {name}\t") == key


def test_letters_that_appear_only_by_normalization_are_folded_too():
    """A character made of two capitals has the key of the two lower-case letters."""
    assert name_key("\u3385 1") == name_key("KB 1") == name_key("kb 1")


def test_names_that_differ_have_different_keys():
    """Otherwise no absence could be proven."""
    names = ["invoice 1", "invoice 11", "invoice-1", "invoice1", "rechnung 1", "請求書 1"]
    assert len({name_key(name) for name in names}) == len(names)
