"""Documents as UBL 2.1: Invoice and CreditNote."""

from datetime import date
from typing import Final

from app.documents.einvoice import EInvoiceLine, TradeParty
from app.documents.markup import DECLARATION, group, opening, rows, text
from app.documents.xml_writer import XmlWriter

_SCHEMA: Final = "urn:oasis:names:specification:ubl:schema:xsd:"


class UblWriter(XmlWriter):
    """Writes UBL. The schema fixes the order of the elements."""

    def _head(self) -> str:
        invoice, is_credit_note = self._invoice, self._invoice.is_credit_note
        root = self._root
        namespaces = {
            "": f"{_SCHEMA}{root}-2",
            "cac": f"{_SCHEMA}CommonAggregateComponents-2",
            "cbc": f"{_SCHEMA}CommonBasicComponents-2",
        }
        type_tag, type_code = (
            ("cbc:CreditNoteTypeCode", "381") if is_credit_note else ("cbc:InvoiceTypeCode", "380")
        )
        return DECLARATION + rows(
            opening(root, namespaces),
            text("cbc:CustomizationID", invoice.profile.customization_id),
            text("cbc:ProfileID", invoice.profile.process_id),
            text("cbc:ID", invoice.number),
            _date("cbc:IssueDate", invoice.issue_date),
            "" if is_credit_note else _date("cbc:DueDate", invoice.due_date),
            text(type_tag, type_code),
            text("cbc:Note", invoice.note),
            text("cbc:DocumentCurrencyCode", invoice.currency),
            text("cbc:BuyerReference", invoice.buyer_reference),
            _period(invoice.period_start, invoice.period_end),
            group("cac:OrderReference", text("cbc:ID", invoice.order_reference)),
            group(
                "cac:BillingReference",
                group(
                    "cac:InvoiceDocumentReference",
                    text("cbc:ID", invoice.preceding_number),
                    _date("cbc:IssueDate", invoice.preceding_date),
                ),
            ),
            group("cac:ContractDocumentReference", text("cbc:ID", invoice.contract)),
            group("cac:AccountingSupplierParty", _party(invoice.seller)),
            group("cac:AccountingCustomerParty", _party(invoice.buyer)),
            self._delivery(),
            self._payment_means(),
            group("cac:PaymentTerms", text("cbc:Note", invoice.terms)),
            self._tax_total(),
            group(
                "cac:LegalMonetaryTotal",
                self._amount("cbc:LineExtensionAmount", invoice.amount(invoice.net)),
                self._amount("cbc:TaxExclusiveAmount", invoice.amount(invoice.net)),
                self._amount("cbc:TaxInclusiveAmount", invoice.amount(invoice.gross)),
                self._amount("cbc:PayableAmount", invoice.amount(invoice.gross)),
            ),
        )

    def _line(self, line: EInvoiceLine) -> str:
        invoice, root = self._invoice, self._root
        quantity = "cbc:CreditedQuantity" if invoice.is_credit_note else "cbc:InvoicedQuantity"
        return rows(
            group(
                f"cac:{root}Line",
                text("cbc:ID", line.id),
                text(quantity, line.quantity, unitCode=line.unit_code),
                self._amount("cbc:LineExtensionAmount", invoice.amount(line.price)),
                _period(line.start, line.end),
                group(
                    "cac:Item",
                    text("cbc:Description", line.description),
                    text("cbc:Name", line.name),
                    group("cac:SellersItemIdentification", text("cbc:ID", line.article_code)),
                    group(
                        "cac:ClassifiedTaxCategory",
                        text("cbc:ID", invoice.tax.category),
                        text("cbc:Percent", invoice.tax.line_percent),
                        _tax_scheme("VAT"),
                    ),
                    *(
                        group(
                            "cac:AdditionalItemProperty",
                            text("cbc:Name", name),
                            text("cbc:Value", value),
                        )
                        for name, value in line.attributes
                    ),
                ),
                group("cac:Price", self._amount("cbc:PriceAmount", line.unit_price)),
            )
        )

    def _tail(self) -> str:
        return f"</{self._root}>\n"

    @property
    def _root(self) -> str:
        return "CreditNote" if self._invoice.is_credit_note else "Invoice"

    def _amount(self, tag: str, amount: str) -> str:
        return text(tag, amount, currencyID=self._invoice.currency)

    def _delivery(self) -> str:
        buyer = self._invoice.buyer
        if not self._invoice.delivers_to_buyer:
            return ""
        address = group(
            "cac:Address",
            text("cbc:CityName", buyer.city),
            text("cbc:PostalZone", buyer.postal),
            group("cac:Country", text("cbc:IdentificationCode", buyer.country)),
        )
        return group("cac:Delivery", group("cac:DeliveryLocation", address))

    def _payment_means(self) -> str:
        invoice, means = self._invoice, self._invoice.means
        if means is None:
            return ""
        return group(
            "cac:PaymentMeans",
            text("cbc:PaymentMeansCode", means.code),
            _date("cbc:PaymentDueDate", invoice.due_date) if invoice.is_credit_note else "",
            text("cbc:PaymentID", invoice.remittance),
            group(
                "cac:PayeeFinancialAccount",
                text("cbc:ID", means.account),
                text("cbc:Name", means.holder),
                group("cac:FinancialInstitutionBranch", text("cbc:ID", means.bic)),
            ),
        )

    def _tax_total(self) -> str:
        invoice, tax = self._invoice, self._invoice.tax
        tax_amount = self._amount("cbc:TaxAmount", invoice.amount(invoice.tax_amount))
        return group(
            "cac:TaxTotal",
            tax_amount,
            group(
                "cac:TaxSubtotal",
                self._amount("cbc:TaxableAmount", invoice.amount(invoice.net)),
                tax_amount,
                group(
                    "cac:TaxCategory",
                    text("cbc:ID", tax.category),
                    text("cbc:Percent", tax.percent),
                    text("cbc:TaxExemptionReasonCode", tax.exemption_code),
                    text("cbc:TaxExemptionReason", tax.exemption_reason),
                    _tax_scheme("VAT"),
                ),
            ),
        )


def _party(party: TradeParty) -> str:
    street, additional_street, third_line = party.address
    return group(
        "cac:Party",
        text("cbc:EndpointID", party.endpoint, schemeID=party.endpoint_scheme),
        group(
            "cac:PostalAddress",
            text("cbc:StreetName", street),
            text("cbc:AdditionalStreetName", additional_street),
            text("cbc:CityName", party.city),
            text("cbc:PostalZone", party.postal),
            group("cac:AddressLine", text("cbc:Line", third_line)),
            group("cac:Country", text("cbc:IdentificationCode", party.country)),
        ),
        _tax_registration("VAT", party.vat_code),
        _tax_registration("FC", party.tax_number),
        group(
            "cac:PartyLegalEntity",
            text("cbc:RegistrationName", party.name),
            text("cbc:CompanyID", party.registration_code, schemeID=party.registration_scheme),
        ),
        group(
            "cac:Contact",
            text("cbc:Name", party.contact_name),
            text("cbc:Telephone", party.phone_number),
            text("cbc:ElectronicMail", party.email),
        ),
    )


def _tax_registration(scheme: str, number: str) -> str:
    if not number:
        return ""
    return group("cac:PartyTaxScheme", text("cbc:CompanyID", number), _tax_scheme(scheme))


def _tax_scheme(scheme: str) -> str:
    return group("cac:TaxScheme", text("cbc:ID", scheme))


def _date(tag: str, value: date | None) -> str:
    return text(tag, value.isoformat() if value else "")


def _period(start: date | None, end: date | None) -> str:
    return group("cac:InvoicePeriod", _date("cbc:StartDate", start), _date("cbc:EndDate", end))
