"""Check digits of account numbers and payment references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.bank_accounts import (
    creditor_reference,
    in_groups_of_four,
    is_qr_iban,
    is_sepa_iban,
    looks_like_iban,
    parse_creditor_reference,
    parse_iban,
)


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("EE38 2200 2210 2014 5685", "EE382200221020145685"),
        ("ch93 0076 2011 6238 5295 7", "CH9300762011623852957"),
        ("DE89370400440532013000", "DE89370400440532013000"),
        ("EE00 0000 0000 1000", None),
        ("EE38 2200 2210 2014 5686", None),
        ("12345678", None),
        ("DE\u0668\u0669370400440532013000", None),
        ("", None),
    ],
)
def test_an_account_number_is_an_iban_only_with_its_check_digits(
    text: str, iban: str | None
) -> None:
    assert parse_iban(text) == iban


def test_an_iban_of_a_country_outside_sepa_is_valid() -> None:
    iban = parse_iban("AE07 0331 2345 6789 0123 456")
    assert iban == "AE070331234567890123456"
    assert not is_sepa_iban(iban)
    assert is_sepa_iban("CH9300762011623852957")


def test_a_reference_is_made_of_the_number_of_an_invoice() -> None:
    assert [creditor_reference(number) for number in (100001, 100002)] == [
        "RF69100001",
        "RF42100002",
    ]
    assert in_groups_of_four("RF69100001") == "RF69 1000 01"


@given(st.integers(min_value=1, max_value=10**18))
def test_each_reference_has_valid_check_digits(number: int) -> None:
    reference = creditor_reference(number)
    assert parse_creditor_reference(in_groups_of_four(reference).lower()) == reference


@given(st.integers(min_value=1, max_value=10**9), st.integers(min_value=1, max_value=96))
def test_a_reference_with_other_check_digits_is_none(number: int, change: int) -> None:
    digits = int(creditor_reference(number)[2:4])
    changed = (digits - 2 + change) % 97 + 2  # check digits are between 02 and 98
    assert parse_creditor_reference(f"RF{changed:02}{number}") is None


@pytest.mark.parametrize(
    ("text", "looks"),
    [("EE00 0000", True), ("ee38 2200", True), ("1234 5678", False), ("", False), ("EEEE", False)],
)
def test_a_text_looks_like_an_iban_by_its_first_four_characters(text: str, looks: bool) -> None:
    assert looks_like_iban(text) is looks


@pytest.mark.parametrize(
    ("iban", "needs"),
    [
        ("CH4431999123000889012", True),
        ("CH9300762011623852957", False),
        ("DE4431999123000889012", False),
    ],
)
def test_an_iban_of_switzerland_is_a_qr_iban_by_the_number_of_its_bank(
    iban: str, needs: bool
) -> None:
    assert is_qr_iban(iban) is needs
