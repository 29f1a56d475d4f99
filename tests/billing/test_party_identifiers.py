"""Check digits of electronic addresses and registration numbers, as Peppol's rules check them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


VALID = {"0007": "5560360793", "0088": "7300010000001", "0192": "974760673", "0208": "0202239951"}


@given(st.sampled_from(sorted(VALID)), st.data())
def test_one_wrong_digit_is_always_found(scheme: str, data: st.DataObject) -> None:
    number = VALID[scheme]
    at = data.draw(st.integers(0, len(number) - 1))
    digit = data.draw(st.sampled_from(sorted(set("0123456789") - {number[at]})))
    assert broken_rule(scheme, number[:at] + digit + number[at + 1 :])


@given(st.sampled_from(sorted(VALID)), st.text())
def test_no_text_makes_the_check_fail_with_an_error(scheme: str, text: str) -> None:
    broken_rule(scheme, text)


@given(st.text(st.characters(categories=["Nd"]), min_size=9, max_size=10))
def test_digits_of_other_scripts_are_no_numbers(text: str) -> None:
    assert text.isascii() or all(broken_rule(scheme, text) for scheme in VALID)


@given(st.from_regex(r"[0-9]{9}", fullmatch=True))
def test_exactly_one_last_digit_is_right(body: str) -> None:
    right = [digit for digit in "0123456789" if not broken_rule("0007", body + digit)]
    assert len(right) == 1
