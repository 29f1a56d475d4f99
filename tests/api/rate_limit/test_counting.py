"""A limit in the memory of one process: what it lets in, and for how long it does not."""

from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from limits import parse

from app.api.middleware.rate_limit.counting import Limit, Verdict, learn

MINUTE = 60.0


def limit(rate: str, bound: int = 10) -> Limit:
    return Limit("token", parse(rate), bound)


def granted(limit: Limit, key: str, now: float, times: int = 1) -> int:
    return sum(limit.take(key, now).granted for _ in range(times))


def test_a_window_is_filled_and_then_slides() -> None:
    three = limit("3/minute")
    assert [three.take("a", 20.0) for _ in range(3)] == [
        Verdict(True, 2, 40.0),
        Verdict(True, 1, 40.0),
        Verdict(True, 0, 40.0),
    ]
    granted_at_all, left, seconds = three.take("a", 20.0)
    assert (granted_at_all, left) == (False, 0)
    # The window ends in 40 seconds, and a third of it must have gone by then.
    assert seconds == pytest.approx(60.0)
    assert granted(three, "b", 20.0) == 1
    assert granted(three, "a", 79.9) == 0
    assert granted(three, "a", 80.0, 2) == 1
    assert granted(three, "a", 100.0, 2) == 1
    assert granted(three, "a", 240.0, 5) == 3


def test_a_look_does_not_count() -> None:
    one = limit("1/minute")
    assert [one.refusal("a", 5.0) for _ in range(3)] == [None] * 3
    assert granted(one, "a", 5.0) == 1
    assert one.refusal("a", 5.0) == Verdict(False, 0, 115.0)
    assert one.refusal("a", 121.0) is None


@given(
    st.integers(1, 60),
    st.sampled_from(["second", "minute", "3 minute", "hour", "day"]),
    st.integers(0, 60),
    st.integers(0, 60),
    st.floats(0, 0.999),
)
def test_whoever_waits_as_told_is_let_in(
    amount: int, period: str, before: int, here: int, part: float
) -> None:
    one = limit(f"{amount}/{period}")
    start = 28_400_000 * one.seconds
    granted(one, "a", start - 1, min(before, amount))
    now = start + part * one.seconds
    granted(one, "a", now, min(here, amount))
    verdict = one.refusal("a", now)
    assume(verdict is not None)
    assert verdict is not None
    assert 0 < verdict.seconds <= 2 * one.seconds
    early = now + verdict.seconds * 0.9 - 0.001 * one.seconds
    if early > now:
        assert one.refusal("a", early) is not None
    assert one.refusal("a", now + ceil(verdict.seconds)) is None


def test_keys_are_forgotten_when_there_are_too_many() -> None:
    one = limit("1/minute", bound=2)
    assert [granted(one, key, 0.0) for key in "abab"] == [1, 1, 0, 0]
    assert [granted(one, key, 0.0) for key in "cb"] == [1, 0]
    assert granted(one, "a", 0.0) == 1


def test_what_others_counted_is_taken_in() -> None:
    ten = limit("10/minute")
    granted(ten, "a", 0.0, 3)
    (share,) = ten.shares()
    assert (share.current, share.previous) == (
        "LIMITER/token/a/10/1/minute/0",
        "LIMITER/token/a/10/1/minute/-1",
    )
    assert (share.amount, share.asks) == (3, True)
    assert list(ten.shares()) == []
    granted(ten, "a", 1.0)  # counted while the exchange was under way
    learn(share, 7, 5)
    assert ten.take("a", 54.0) == Verdict(True, 0, 6.0)  # a tenth of 5, 7, 1, and this
    (share,) = ten.shares()
    assert (share.amount, share.asks) == (2, False)


def test_an_emptied_store_takes_nothing_back() -> None:
    ten = limit("10/minute")
    granted(ten, "a", 0.0, 8)
    for total in (8, 1):
        granted(ten, "a", 0.0)
        for share in ten.shares():
            learn(share, total, 0)
    assert granted(ten, "a", 0.0, 5) == 0


def test_what_is_heard_late_counts_in_its_own_window() -> None:
    ten = limit("10/minute")
    granted(ten, "a", 59.0)
    (share,) = ten.shares()
    granted(ten, "a", 60.0)
    learn(share, 10, None)
    assert granted(ten, "a", 60.0 + MINUTE / 2, 10) == 4
    (share,) = ten.shares()
    granted(ten, "a", 60.0 + 3 * MINUTE)
    learn(share, 10, None)
    assert granted(ten, "a", 60.0 + 3 * MINUTE, 20) == 9


def test_a_clock_that_is_set_back_begins_anew() -> None:
    two = limit("2/minute")
    assert granted(two, "a", 600.0, 3) == 2
    assert granted(two, "a", 60.0, 3) == 2


def test_headers() -> None:
    two = limit("2/minute")
    assert two.headers(two.take("a", 1.5)) == (
        (b"ratelimit-policy", b'"token";q=2;w=60'),
        (b"ratelimit", b'"token";r=1;t=59'),
    )
