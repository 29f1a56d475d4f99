"""UUIDs that items have had since earlier releases, and new ones for later items."""

from datetime import UTC, datetime
from uuid import UUID

from app.dataio.focus import identifiers
from app.dataio.focus.charge_groups import ChargeGroupKey

KEY = ChargeGroupKey(
    account="acc-1",
    period_start=datetime(2026, 9, 1, tzinfo=UTC),
    period_end=datetime(2026, 10, 1, tzinfo=UTC),
    sub_account="sub-1",
    provider="Pilveke",
    category="Compute",
    service="Machines",
    resource="vm-1",
    description="Hours of a machine",
    pricing_unit="Hours",
    charge_category="Usage",
)


def test_an_item_has_the_uuid_of_releases_without_separate_corrections() -> None:
    item = identifiers.item_uuid(KEY)
    assert item == UUID("45d3b0fe-b9af-504d-accb-6de812694ac1")
    assert (item.version, str(item)) == (5, "45d3b0fe-b9af-504d-accb-6de812694ac1")


def test_corrections_of_each_month_have_uuids_of_their_own() -> None:
    uuids = {
        identifiers.item_uuid(KEY._replace(corrected_month=month))
        for month in ("", "2026-07", "2026-08")
    }
    assert len(uuids) == 3
