"""Documents as Cross Industry Invoice of UN/CEFACT (D16B/D22B), which Factur-X and ZUGFeRD hold."""

from datetime import date
from typing import Final

from app.documents.einvoice import EInvoiceLine, TradeParty
from app.documents.markup import DECLARATION, group, opening, rows, text
from app.documents.xml_writer import XmlWriter

_DATA: Final = "urn:un:unece:uncefact:data:"
_ROOT: Final = "rsm:CrossIndustryInvoice"
_NAMESPACES: Final = {
    "rsm": f"{_DATA}standard:CrossIndustryInvoice:100",
    "ram": f"{_DATA}standard:ReusableAggregateBusinessInformationEntity:100",
    "qdt": f"{_DATA}standard:QualifiedDataType:100",
    "udt": f"{_DATA}standard:UnqualifiedDataType:100",
}


class CiiWriter(XmlWriter):
    """Writes CII, where the lines stand before parties and sums. The schema fixes the order."""

    def _head(self) -> str:
        invoice = self._invoice
        profile = invoice.profile
        return DECLARATION + rows(
            opening(_ROOT, _NAMESPACES),
            group(
                "rsm:ExchangedDocumentContext",
                group(
                    "ram:BusinessProcessSpecifiedDocumentContextParameter",
                    text("ram:ID", profile.process_id),
                ),
                group(
                    "ram:GuidelineSpecifiedDocumentContextParameter",
                    text("ram:ID", profile.customization_id),
                ),
            ),
            group(
                "rsm:ExchangedDocument",
                text("ram:ID", invoice.number),
                text("ram:TypeCode", "381" if invoice.is_credit_note else "380"),
                _date("ram:IssueDateTime", invoice.issue_date),
                group("ram:IncludedNote", text("ram:Content", invoice.note)),
            ),
            "<rsm:SupplyChainTradeTransaction>",
        )

    def _line(self, line: EInvoiceLine) -> str:
        invoice, tax = self._invoice, self._invoice.tax
        return rows(
            group(
                "ram:IncludedSupplyChainTradeLineItem",
                group("ram:AssociatedDocumentLineDocument", text("ram:LineID", line.id)),
                group(
                    "ram:SpecifiedTradeProduct",
                    text("ram:SellerAssignedID", line.article_code),
                    text("ram:Name", line.name),
                    text("ram:Description", line.description),
                    *(
                        group(
                            "ram:ApplicableProductCharacteristic",
                            text("ram:Description", name),
                            text("ram:Value", value),
                        )
                        for name, value in line.attributes
                    ),
                ),
                group(
                    "ram:SpecifiedLineTradeAgreement",
                    group(
                        "ram:NetPriceProductTradePrice", text("ram:ChargeAmount", line.unit_price)
                    ),
                ),
                group(
                    "ram:SpecifiedLineTradeDelivery",
                    text("ram:BilledQuantity", line.quantity, unitCode=line.unit_code),
                ),
                group(
                    "ram:SpecifiedLineTradeSettlement",
                    group(
                        "ram:ApplicableTradeTax",
                        text("ram:TypeCode", "VAT"),
                        text("ram:CategoryCode", tax.category),
                        text("ram:RateApplicablePercent", tax.line_percent),
                    ),
                    _period(line.start, line.end),
                    group(
                        "ram:SpecifiedTradeSettlementLineMonetarySummation",
                        text("ram:LineTotalAmount", invoice.amount(line.price)),
                    ),
                ),
            )
        )

    def _tail(self) -> str:
        invoice = self._invoice
        return rows(
            group(
                "ram:ApplicableHeaderTradeAgreement",
                text("ram:BuyerReference", invoice.buyer_reference),
                group("ram:SellerTradeParty", *_party(invoice.seller)),
                group("ram:BuyerTradeParty", *_party(invoice.buyer)),
                _reference("ram:BuyerOrderReferencedDocument", invoice.order_reference),
                _reference("ram:ContractReferencedDocument", invoice.contract),
            ),
            group("ram:ApplicableHeaderTradeDelivery", self._ship_to(), self._delivery_date()),
            group(
                "ram:ApplicableHeaderTradeSettlement",
                text("ram:PaymentReference", invoice.remittance),
                text("ram:InvoiceCurrencyCode", invoice.currency),
                self._payment_means(),
                self._tax(),
                _period(invoice.period_start, invoice.period_end),
                group(
                    "ram:SpecifiedTradePaymentTerms",
                    text("ram:Description", invoice.terms),
                    _date("ram:DueDateDateTime", invoice.due_date),
                ),
                self._sums(),
                group(
                    "ram:InvoiceReferencedDocument",
                    text("ram:IssuerAssignedID", invoice.preceding_number),
                    _date("ram:FormattedIssueDateTime", invoice.preceding_date, kind="qdt"),
                ),
            ),
            "</rsm:SupplyChainTradeTransaction>",
            f"</{_ROOT}>",
        )

    def _ship_to(self) -> str:
        if not self._invoice.delivers_to_buyer:
            return ""
        buyer = self._invoice.buyer
        address = group(
            "ram:PostalTradeAddress",
            text("ram:PostcodeCode", buyer.postal),
            text("ram:CityName", buyer.city),
            text("ram:CountryID", buyer.country),
        )
        return group("ram:ShipToTradeParty", address)

    def _delivery_date(self) -> str:
        # Rules of Factur-X warn of an empty delivery, and the schema requires the element.
        date_of_delivery = _date("ram:OccurrenceDateTime", self._invoice.delivery_date)
        return group("ram:ActualDeliverySupplyChainEvent", date_of_delivery)

    def _payment_means(self) -> str:
        means = self._invoice.means
        if means is None:
            return ""
        return group(
            "ram:SpecifiedTradeSettlementPaymentMeans",
            text("ram:TypeCode", means.code),
            group(
                "ram:PayeePartyCreditorFinancialAccount",
                text("ram:IBANID", means.account if means.is_iban else ""),
                text("ram:AccountName", means.holder),
                text("ram:ProprietaryID", "" if means.is_iban else means.account),
            ),
            group("ram:PayeeSpecifiedCreditorFinancialInstitution", text("ram:BICID", means.bic)),
        )

    def _tax(self) -> str:
        invoice, tax = self._invoice, self._invoice.tax
        return group(
            "ram:ApplicableTradeTax",
            text("ram:CalculatedAmount", invoice.amount(invoice.tax_amount)),
            text("ram:TypeCode", "VAT"),
            text("ram:ExemptionReason", tax.exemption_reason),
            text("ram:BasisAmount", invoice.amount(invoice.net)),
            text("ram:CategoryCode", tax.category),
            text("ram:ExemptionReasonCode", tax.exemption_code),
            text("ram:RateApplicablePercent", tax.percent),
        )

    def _sums(self) -> str:
        invoice = self._invoice
        net, gross = invoice.amount(invoice.net), invoice.amount(invoice.gross)
        tax = invoice.amount(invoice.tax_amount)
        return group(
            "ram:SpecifiedTradeSettlementHeaderMonetarySummation",
            text("ram:LineTotalAmount", net),
            text("ram:TaxBasisTotalAmount", net),
            text("ram:TaxTotalAmount", tax, currencyID=invoice.currency),
            text("ram:GrandTotalAmount", gross),
            text("ram:DuePayableAmount", gross),
        )


def _party(party: TradeParty) -> tuple[str, ...]:
    line_one, line_two, line_three = party.address
    return (
        text("ram:Name", party.name),
        group(
            "ram:SpecifiedLegalOrganization",
            text("ram:ID", party.registration_code, schemeID=party.registration_scheme),
        ),
        group(
            "ram:DefinedTradeContact",
            text("ram:PersonName", party.contact_name),
            group(
                "ram:TelephoneUniversalCommunication",
                text("ram:CompleteNumber", party.phone_number),
            ),
            group("ram:EmailURIUniversalCommunication", text("ram:URIID", party.email)),
        ),
        group(
            "ram:PostalTradeAddress",
            text("ram:PostcodeCode", party.postal),
            text("ram:LineOne", line_one),
            text("ram:LineTwo", line_two),
            text("ram:LineThree", line_three),
            text("ram:CityName", party.city),
            text("ram:CountryID", party.country),
        ),
        group(
            "ram:URIUniversalCommunication",
            text("ram:URIID", party.endpoint, schemeID=party.endpoint_scheme),
        ),
        group("ram:SpecifiedTaxRegistration", text("ram:ID", party.vat_code, schemeID="VA")),
        group("ram:SpecifiedTaxRegistration", text("ram:ID", party.tax_number, schemeID="FC")),
    )


def _reference(tag: str, number: str) -> str:
    return group(tag, text("ram:IssuerAssignedID", number))


def _date(tag: str, value: date | None, kind: str = "udt") -> str:
    # strftime does not fill up years before 1000 everywhere.
    digits = value.isoformat().replace("-", "") if value else ""
    return group(tag, text(f"{kind}:DateTimeString", digits, format="102"))


def _period(start: date | None, end: date | None) -> str:
    return group(
        "ram:BillingSpecifiedPeriod",
        _date("ram:StartDateTime", start),
        _date("ram:EndDateTime", end),
    )
