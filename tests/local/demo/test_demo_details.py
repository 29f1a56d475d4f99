"""The demonstration has all the details that documents need, in valid forms."""

from decimal import Decimal

import pytest

from app.billing.bank_accounts import parse_iban
from app.billing.code_lists import EXEMPTION_CODES
from app.customers.models import Customer
from app.dataio.records.customers import CustomerRecord
from app.local.demo import ISSUER
from app.local.demo.organizations import ORGANIZATIONS, Organization
from app.local.demo.people import add_people
from app.local.demo.rows import Rows
from app.settings import IssuerDetails
from tests.dataio.record_factories import EARLY

COUNTRIES_WITHOUT_IBAN = {"JP"}


def test_the_issuer_has_every_detail() -> None:
    issuer = IssuerDetails.model_validate(ISSUER)
    # The name of the country comes from the locale.
    assert {name for name, value in issuer if not value} == {"country_name"}
    assert not issuer.model_extra
    assert parse_iban(issuer.bank_account)


def test_the_details_of_customers_are_valid_records() -> None:
    rows = Rows()
    add_people(rows, EARLY)
    customers = rows.rows_of(Customer)
    assert len(customers) == len(ORGANIZATIONS)
    for row in customers:
        fields = {name: value for name, value in row.items() if name in CustomerRecord.model_fields}
        CustomerRecord(**fields)


@pytest.mark.parametrize("organization", ORGANIZATIONS, ids=lambda each: each.key)
def test_a_customer_has_an_account_and_a_fitting_tax_category(organization: Organization) -> None:
    if organization.country not in COUNTRIES_WITHOUT_IBAN:
        iban = parse_iban(organization.bank_account)
        assert iban
        assert iban[:2] == organization.country
    assert organization.buyer_reference or organization.order_reference
    assert (organization.tax_category == "S") == (Decimal(organization.tax_percent) > 0)
    code, reason = organization.exemption
    assert (organization.tax_category == "S") == (not code) == (not reason)
    assert not code or code in EXEMPTION_CODES
