"""Credit notes stand beside the sums of invoices, which stay as issued."""

import pytest

from tests.credit_notes.conftest import Crediting, Issue


@pytest.mark.parametrize("is_whole", [True, False])
async def test_the_sums_of_invoices_stay_as_issued(
    crediting: Crediting, issued: Issue, is_whole: bool
) -> None:
    invoice = await issued("10", "5")
    paths = (
        "/api/invoices/growth/",
        f"/api/invoices/{invoice.uuid}/stats/",
        f"/api/invoices/{invoice.uuid}/items/",
        "/api/invoice-items/total_price/",
        "/api/billing-total-cost/?year=2026&month=10",
        "/api/financial-reports/?year=2026&month=10",
    )
    before = [(await crediting.get(path)).json() for path in paths]
    total = (await crediting.get(f"/api/invoices/{invoice.uuid}/")).json()["total"]
    items = [{"uuid": uuid} for uuid in (await crediting.items(invoice))[: None if is_whole else 1]]
    await crediting.credit(invoice, items=items)
    assert [(await crediting.get(path)).json() for path in paths] == before
    after = (await crediting.get(f"/api/invoices/{invoice.uuid}/")).json()
    assert (after["total"], after["state"]) == (total, "canceled" if is_whole else "created")
