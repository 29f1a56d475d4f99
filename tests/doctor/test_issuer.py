"""The check of the issuer's details."""

import pytest

from app.doctor.check_result import Level
from app.doctor.issuer import issuer
from app.local.demo import ISSUER
from app.settings import IssuerDetails, Settings
from tests.doctor.results import collect, is_well, only


def settings_with(settings: Settings, *without: str, **changed: str) -> Settings:
    details = {name: value for name, value in ISSUER.items() if name not in without}
    described = IssuerDetails.model_validate(details | changed)
    return settings.model_copy(update={"issuer_details": described})


async def messages(settings: Settings) -> list[str]:
    results = await collect(issuer(settings))
    assert {each.level for each in results} == {Level.WARNING}
    return [each.message for each in results]


async def test_the_issuer_of_the_demonstration_is_well(settings: Settings) -> None:
    assert is_well(await collect(issuer(settings_with(settings))))


async def test_an_issuer_without_details_is_a_warning_for_each_profile(settings: Settings) -> None:
    found = await messages(settings)
    assert [each.split(":")[0].split(" as ")[1] for each in found] == [
        "en16931", "peppol", "xrechnung",
    ]  # fmt: skip
    assert "BT-27 The name of the seller is missing" in found[0]
    assert "BT-40 The country of the seller is missing" in found[0]


@pytest.mark.parametrize(
    ("key", "term", "profiles"),
    [
        ("city", "BT-37", ["xrechnung"]),
        ("contact_name", "BT-41", ["xrechnung"]),
        ("bank_account", "BT-81", ["xrechnung"]),
        ("endpoint", "BT-34", ["peppol"]),  # XRechnung falls back to the e-mail address
    ],
)
async def test_a_missing_detail_is_named_where_it_is_required(
    settings: Settings, key: str, term: str, profiles: list[str]
) -> None:
    without = ("endpoint", "endpoint_scheme") if key == "endpoint" else (key,)
    found = await messages(settings_with(settings, *without))
    assert [each.split(":")[0].split(" as ")[1] for each in found] == profiles
    assert all(f" {term} " in each for each in found)


async def test_rules_of_the_issuers_country_count(settings: Settings) -> None:
    (found,) = await messages(settings_with(settings, country="DK", vat_code="DK00001002"))
    assert "as peppol: BT-30 The scheme of the registration code" in found


async def test_a_wrong_iban_is_a_warning(settings: Settings) -> None:
    wrong = settings_with(settings, bank_account="EE00 0000 0000 0000 1000")
    assert "wrong check digits" in only(await collect(issuer(wrong)), Level.WARNING)


async def test_a_qr_iban_is_a_warning(settings: Settings) -> None:
    account = settings_with(settings, bank_account="CH44 3199 9123 0008 8901 2")
    assert "Swiss QR-bill" in only(await collect(issuer(account)), Level.WARNING)


async def test_an_account_that_is_no_iban_is_well(settings: Settings) -> None:
    account = settings_with(settings, bank_account="0000 000 0001012")
    assert is_well(await collect(issuer(account)))
