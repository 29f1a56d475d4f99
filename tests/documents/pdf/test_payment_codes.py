"""The payment codes: made where a bank takes them, left out elsewhere."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import segno

from app.documents.pdf.payment_codes import epc_code, swiss_qr_bill
from tests.documents.pdf.examples import BUYER, SELLER, SWISS_SELLER, credit_note, document, line


def _epc(**changes: Any) -> str | None:
    return epc_code(document([line()], **changes))


def _bill(**changes: Any) -> str | None:
    values = {"seller": SWISS_SELLER, "currency": "CHF"} | changes
    return swiss_qr_bill(document([line()], **values), "de", "Rechnung 100001")


def _path(svg: str | None) -> str:
    return (svg or "").partition(' d="')[2].partition('"')[0]


def test_an_epc_code_holds_the_account_the_amount_and_the_reference() -> None:
    fields = [
        "BCD", "002", "1", "SCT", "EXAMEE2X", "Example Cloud OÜ", "EE382200221020145685",
        "EUR11.16", "", "RF69100001",
    ]  # fmt: skip
    code = segno.make(
        "\n".join(fields), error="m", encoding="utf-8", micro=False, boost_error=False
    )
    assert _path(_epc()) == _path(code.svg_inline(border=4))


def test_another_reference_is_sent_as_text_that_is_cut() -> None:
    assert _epc(reference_number="X" * 300)
    assert _path(_epc(reference_number="rf42 1000 02")) == _path(
        _epc(reference_number="RF42100002")
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "USD"},
        {"seller": replace(SELLER, bank_account="EE00 0000 0000 1000")},
        {"seller": replace(SELLER, bank_account="AE07 0331 2345 6789 0123 456")},
        {"seller": replace(SELLER, name="")},
        {"gross": Decimal(0)},
        {"gross": Decimal("-1.00")},
        {"gross": Decimal("1000000000.00")},
    ],
)
def test_there_is_no_epc_code_that_a_bank_would_refuse(changes: dict[str, Any]) -> None:
    assert _epc(**changes) is None


def test_a_credit_note_asks_for_no_payment() -> None:
    assert epc_code(credit_note([line()])) is None


def test_a_long_name_and_a_wrong_bic_do_not_stop_the_epc_code() -> None:
    assert _epc(seller=replace(SELLER, name="N" * 100, bic="wrong"))


def test_a_swiss_bill_states_creditor_debtor_and_reference() -> None:
    svg = _bill() or ""
    for shown in ("CH93 0076 2011 6238 5295 7", "Example Cloud AG", "8001 Zürich", "11.16", "CHF"):
        assert f">{shown}<" in svg
    assert "RF69 1000 01" in svg
    assert "Musterwerk GmbH" in svg
    assert "Zahlteil" in svg


@pytest.mark.parametrize(
    "buyer",
    [replace(BUYER, name="Πελάτης"), replace(BUYER, city=""), replace(BUYER, name="N" * 80)],
)
def test_a_debtor_that_a_bill_does_not_take_is_left_open(buyer: Any) -> None:
    svg = _bill(buyer=buyer) or ""
    assert "Zahlbar durch (Name/Adresse)" in svg
    assert "calc(" not in svg


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "USD"},
        {"gross": Decimal("-1.00")},
        {"seller": replace(SWISS_SELLER, city="")},
        {"seller": replace(SWISS_SELLER, bank_account="CH44 3199 9123 0008 8901 2")},
        {"seller": SELLER},
    ],
)
def test_there_is_no_bill_without_a_plain_swiss_account_and_an_address(
    changes: dict[str, Any],
) -> None:
    assert _bill(**changes) is None


def test_a_reference_of_another_form_stands_in_the_message_of_a_bill() -> None:
    svg = _bill(reference_number="Kunde 7 客") or ""
    assert "Kunde 7 ? Rechnung 100001" in svg
