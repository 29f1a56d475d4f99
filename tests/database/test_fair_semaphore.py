"""Slots are shared fairly: no holder takes all, and a holder without one gets one first."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.database.fair_semaphore import FairSemaphore


def taken(places: FairSemaphore, holder: str) -> int:
    """Return how many places the holder gets now."""
    number = 0
    while places.try_acquire(holder):
        number += 1
    return number


@pytest.mark.parametrize(
    ("places", "shares"), [(1, [1, 0]), (2, [1, 1, 0]), (8, [4, 2, 1, 1, 0]), (16, [8, 4, 2, 1, 1])]
)
def test_each_holder_gets_half_of_the_free_slots(places: int, shares: list[int]) -> None:
    semaphore = FairSemaphore(places)
    assert [taken(semaphore, f"holder {number}") for number in range(len(shares))] == shares


@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from("abcd"), st.booleans())))
def test_the_number_of_slots_is_constant(places: int, steps: list[tuple[str, bool]]) -> None:
    semaphore = FairSemaphore(places)
    held: dict[str, int] = dict.fromkeys("abcd", 0)
    for holder, takes in steps:
        if takes:
            free = places - sum(held.values())
            assert semaphore.try_acquire(holder) == (held[holder] < free)
            held[holder] += held[holder] < free
        elif held[holder]:
            semaphore.release(holder)
            held[holder] -= 1
    for holder, number in held.items():
        for _ in range(number):
            semaphore.release(holder)
    assert sum(semaphore.try_acquire(str(number)) for number in range(places + 1)) == places


async def test_a_free_slot_goes_to_the_holder_with_the_fewest() -> None:
    places = FairSemaphore(4)
    order: list[str] = []

    async def wait(holder: str, name: str) -> None:
        async with places.slot(holder):
            order.append(name)
            await asyncio.sleep(0)

    assert taken(places, "greedy") == 2
    assert taken(places, "other") == 1
    assert taken(places, "third") == 1
    tasks = [
        asyncio.create_task(wait(holder, name))
        for holder, name in (
            ("greedy", "greedy's third"),
            ("other", "other's second"),
            ("fourth", "fourth's first"),
        )
    ]
    await asyncio.sleep(0)
    for holder in ("greedy", "greedy", "other", "third"):
        places.release(holder)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order[0] == "fourth's first"
    assert sorted(order[1:]) == ["greedy's third", "other's second"]


async def test_a_cancelled_waiter_leaves_its_slot_to_others() -> None:
    places = FairSemaphore(1)

    async def hold() -> None:
        async with places.slot("other"):
            await asyncio.Event().wait()

    async with AsyncExitStack() as held:
        await held.enter_async_context(places.slot("first"))
        early, late = (asyncio.create_task(hold()) for _ in range(2))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.wait([early])
    late.cancel()  # it was given the place, and does not know yet
    await asyncio.wait([late])
    assert places.try_acquire("third")


async def test_a_release_skips_a_waiter_that_is_being_cancelled() -> None:
    semaphore = FairSemaphore(1)
    assert semaphore.try_acquire("a")

    async def wait() -> None:
        async with semaphore.slot("b"):
            pass

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()  # its task runs only after the release
    semaphore.release("a")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert semaphore.try_acquire("c")
