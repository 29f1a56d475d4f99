"""The rows of a bill's items and resources are records, in the order of their columns."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.item_rows import ItemRow, ResourceRow
from app.dataio.focus.mapping import BillMapper
from app.dataio.records.catalogue import ResourceRecord
from app.dataio.records.invoices import InvoiceItemRecord
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KIND_BY_MODEL
from tests.dataio.focus.files import row, write


@pytest.mark.parametrize(
    ("model", "fields"),
    [(InvoiceItemRecord, ItemRow._fields), (ResourceRecord, ResourceRow._fields)],
)
def test_rows_have_the_columns_of_their_records(
    model: type[Record], fields: tuple[str, ...]
) -> None:
    assert fields == RECORD_KIND_BY_MODEL[model].value_names


def test_rows_are_those_of_valid_records(tmp_path: Path) -> None:
    rows = [
        row(BilledCost="999999999998.123456789012345", ResourceName="õ" * 300),
        row(BilledCost="-0.00000000001", ResourceId="", ConsumedUnit="two\nlines"),
        row(ChargeClass="Correction", InvoiceId="7", ChargePeriodEnd="0001-01-01 00:00"),
    ]
    rows[2]["ChargePeriodStart"] = "0001-01-01 00:00"
    path = write(tmp_path / "f.csv", rows, [*rows[0], "ChargeClass", "InvoiceId"])
    mapper = BillMapper(read_bill([path]), "EUR", Decimal(0))
    items, resources = RECORD_KIND_BY_MODEL[InvoiceItemRecord], RECORD_KIND_BY_MODEL[ResourceRecord]
    (draft,) = mapper.drafts
    for item in mapper.map_items(draft, draft.uuid):
        (*values,) = item.values
        (*expected,) = items.values(InvoiceItemRecord(**item._asdict()))
        place = items.value_names.index("details")
        assert json.loads(str(values.pop(place))) == json.loads(str(expected.pop(place)))
        assert values == expected
    for uuid, line in mapper.resources().items():
        found = mapper.map_resource(uuid, line)
        assert [*found] == resources.values(ResourceRecord(**found._asdict()))
    assert len(mapper.resources()) == 1
