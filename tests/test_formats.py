"""The text formats of UUIDs, dates and integers."""

from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats import find_uuid, parse_iso_date, parse_uuid


@given(st.uuids(), st.booleans(), st.booleans())
def test_a_uuid_is_parsed_with_and_without_hyphens_in_either_case(
    uuid: UUID, without_hyphens: bool, upper: bool
) -> None:
    text = uuid.hex if without_hyphens else str(uuid)
    text = text.upper() if upper else text
    assert parse_uuid(text) == uuid
    assert find_uuid(f"https://x.example/api/customers/{text}/?a=b") == uuid
    assert find_uuid(f"{text}0") is None
    assert parse_uuid(f"{{{text}}}") is None
    assert parse_uuid(f"{text}\n") is None


def test_the_last_uuid_of_a_link_is_found() -> None:
    assert find_uuid("") is None
    assert find_uuid("https://x.example/api/customers/") is None
    first, last = uuid4(), uuid4()
    assert find_uuid(f"{first}/{last}") == last


@pytest.mark.parametrize(
    "text", ["20261101", "2026-W44-7", "2026-11-01T00:00:00", "2026-02-30", ""]
)
def test_other_forms_of_iso_dates_are_refused(text: str) -> None:
    assert parse_iso_date("2026-11-01") == date(2026, 11, 1)
    with pytest.raises(ValueError, match=r".+"):
        parse_iso_date(text)
