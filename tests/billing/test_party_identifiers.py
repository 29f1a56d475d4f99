"""Check digits of electronic addresses and registration numbers, as Peppol's rules check them."""

import pytest

from app.billing.party_identifiers import broken_rule


@pytest.mark.parametrize(
    ("scheme", "number"),
    [
        ("0007", "5560360793"),
        ("0088", "7300010000001"),
        ("0184", "DK12345678"),
        ("0184", "12345678"),
        ("0192", "974760673"),
        ("0208", "0202239951"),
        ("9931", "EE123"),
        ("", ""),
    ],
)
def test_a_number_with_right_digits_breaks_no_rule(scheme: str, number: str) -> None:
    assert broken_rule(scheme, number) == ""


@pytest.mark.parametrize(
    ("scheme", "number", "rule"),
    [
        ("0007", "5560360794", "PEPPOL-COMMON-R049"),
        ("0007", "55603607931", "PEPPOL-COMMON-R049"),
        ("0088", "7300010000002", "PEPPOL-COMMON-R040"),
        ("0088", "73000-1", "PEPPOL-COMMON-R040"),
        ("0088", "", "PEPPOL-COMMON-R040"),
        ("0184", "1234567", "PEPPOL-COMMON-R042"),
        ("0192", "974760674", "PEPPOL-COMMON-R041"),
        ("0192", "000000000", "PEPPOL-COMMON-R041"),
        ("0192", "97476067", "PEPPOL-COMMON-R041"),
        ("0208", "0202239952", "PEPPOL-COMMON-R043"),
        ("0208", "²202239951", "PEPPOL-COMMON-R043"),
    ],
)
def test_a_number_with_wrong_digits_breaks_the_rule_of_its_scheme(
    scheme: str, number: str, rule: str
) -> None:
    assert broken_rule(scheme, number) == rule
