"""The loader stores proofs of payment as files."""

from base64 import b64encode
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.import_report import RecordsRejected
from app.dataio.records.payments import PaymentRecord
from app.settings import Settings
from tests.dataio.record_factories import (
    PDF,
    build_customer,
    build_payment,
    build_profile,
    import_records,
)


async def test_proofs_are_stored_and_replaced(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    paying = build_profile(one)
    paid = build_payment(paying)
    await import_records(database, settings, [one, paying, paid])
    key = text("SELECT proof_key, proof_name, proof_media_type, proof_size FROM payments")
    row = (await connection.execute(key)).one()
    assert (settings.proof_dir / row.proof_key).read_bytes() == PDF
    assert tuple(row[1:]) == ("proof.pdf", "application/pdf", len(PDF))
    other = build_payment(paying, PDF + b" 2", uuid=paid.uuid)
    await import_records(database, settings, [other])
    row = (await connection.execute(key)).one()
    assert (settings.proof_dir / row.proof_key).read_bytes() == PDF + b" 2"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"content": "%%%%"}, None),
        ({"content": "abc"}, "base64"),
        ({"content": b64encode(b"%PDF-1.7 other").decode()}, "digest"),
        ({"content": b64encode(b"<script>").decode()}, "unknown type"),
        ({"content": b64encode(b"%PDF-" + b"x" * 300).decode()}, "larger"),
    ],
)
async def test_an_invalid_proof_is_rejected_and_leaves_no_file(
    database: Database, settings: Settings, wrong: dict[str, str], reason: str | None
) -> None:
    settings = settings.model_copy(update={"proof_max_bytes": 200})
    one = build_customer()
    paying = build_profile(one)
    good = build_payment(paying)
    assert isinstance(good, PaymentRecord)
    assert good.proof is not None
    bad = good.model_copy(update={"uuid": uuid4(), "proof": good.proof.model_copy(update=wrong)})
    with pytest.raises(RecordsRejected) as raised:
        await import_records(database, settings, [one, paying, good, bad])
    fault = raised.value.report.rejected[0]
    assert (fault.line, fault.uuid) == (4, bad.uuid)
    assert reason is None or reason in fault.reason
    assert list(settings.proof_dir.iterdir()) == []


async def test_the_proof_of_a_rejected_payment_is_removed(
    database: Database, settings: Settings
) -> None:
    one = build_customer()
    paying = build_profile(one)
    given = [one, paying, build_payment(paying), build_payment(paying, invoice=one.uuid)]
    report = await import_records(database, settings, given, keep_good=True)
    assert report.rejected_count == 1
    assert len(list(settings.proof_dir.iterdir())) == 1
