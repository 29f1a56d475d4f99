"""Positions join to the least position that includes both."""

from hypothesis import given
from hypothesis import strategies as st

from app.database.replicas.position import SEVERAL, Position

positions = st.builds(
    Position, st.integers(1, 3), st.integers(0, 5), st.sampled_from(["", "a", "b"])
)
progress = st.tuples(st.integers(1, 3), st.integers(0, 6), st.sampled_from(["a", "b", "c"]))


@given(positions, positions, progress)
def test_a_server_that_includes_a_joined_position_includes_the_later_one_or_both(
    one: Position, other: Position, server: tuple[int, int, str]
) -> None:
    joined = one.joined(other)
    if joined.is_included_in(*server):
        for position in (one, other):
            assert position[:2] < joined[:2] or position.is_included_in(*server)


@given(positions, positions, positions)
def test_the_order_of_joining_does_not_matter(a: Position, b: Position, c: Position) -> None:
    assert a.joined(b) == b.joined(a)
    assert a.joined(b).joined(c) == a.joined(b.joined(c))
    assert a.joined(a) == a


@given(positions)
def test_a_position_survives_redis(position: Position) -> None:
    assert Position.decode(position.encode().encode()) == position


def test_another_server_must_have_replayed_the_record_that_follows() -> None:
    shown = Position(1, 100, "a")
    assert shown.is_included_in(1, 100, "a")
    assert not shown.is_included_in(1, 100, "b")
    assert shown.is_included_in(1, 101, "b")
    assert not shown.joined(Position(1, 100, "b")).is_included_in(1, 100, "b")
    assert shown.joined(Position(1, 100, "b")).shown_by == SEVERAL


def test_a_server_on_another_timeline_includes_nothing() -> None:
    assert not Position(2, 100).is_included_in(1, 500, "a")
    assert not Position(1, 100).is_included_in(2, 500, "a")
