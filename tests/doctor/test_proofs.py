"""The checks of proofs and of their store."""

from pathlib import Path

from app.database.engine import Database
from app.doctor import proofs
from app.doctor.check_result import Level
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.support.factories import Factories
from tests.support.object_store import ObjectStore


async def test_missing_and_incomplete_proofs_are_reported(
    make: Factories, database: Database, settings: Settings
) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    profile = await make.profile(await make.customer())
    for number in range(3):
        key = f"{number}" * 32
        (settings.proof_dir / key).write_bytes(b"%PDF")
        await make.payment(
            profile,
            proof_key=key,
            proof_name="a.pdf",
            proof_media_type="application/pdf",
            proof_size=4,
            proof_sha256="",
        )
    assert is_well(await collect(proofs.proofs(database, settings)))
    (settings.proof_dir / ("0" * 32)).unlink()
    (settings.proof_dir / ("1" * 32)).write_bytes(b"%")
    message = only(await collect(proofs.proofs(database, settings)), Level.WRONG)
    assert "of 3 proofs that were checked, 2 are missing or incomplete" in message


async def test_a_writable_proof_dir_is_well(settings: Settings) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    assert is_well(await collect(proofs.store(settings)))


async def test_an_unusable_proof_dir_is_reported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = settings.model_copy(update={"proof_dir": tmp_path / "file"})
    assert "PROOF_DIR is wrong" in only(await collect(proofs.store(unusable)), Level.WRONG)


async def test_a_full_disk_is_reported(settings: Settings) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    large = settings.model_copy(update={"proof_max_bytes": 2**50})
    assert "Free space" in only(await collect(proofs.store(large)), Level.WRONG)


async def test_a_missing_proof_dir_is_reported_and_not_created(
    settings: Settings, tmp_path: Path
) -> None:
    missing = settings.model_copy(update={"proof_dir": tmp_path / "gone"})
    message = only(await collect(proofs.store(missing)), Level.WARNING)
    assert f"{tmp_path / 'gone'}, does not exist" in message
    assert not (tmp_path / "gone").exists()


async def test_a_bucket_is_written_to_and_read_from(
    bucket_settings: Settings, object_store: ObjectStore
) -> None:
    (result,) = await collect(proofs.store(bucket_settings))
    assert is_well([result])
    assert "s3://bucket takes, returns and deletes objects" in result.message
    assert [request.split("?")[0].split("/")[0].strip() for request in object_store.requests] == [
        "PUT",
        "HEAD",
        "GET",
        "DELETE",
    ]
    assert object_store.contents() == {}


async def test_an_unusable_bucket_is_reported(
    database: Database, bucket_settings: Settings, object_store: ObjectStore
) -> None:
    object_store.buckets.clear()
    message = only(await collect(proofs.store(bucket_settings)), Level.WRONG)
    assert "PROOF_STORE, s3://bucket, cannot be used" in message
    assert "NoSuchBucket" in message


async def test_missing_objects_are_reported(
    make: Factories, database: Database, bucket_settings: Settings
) -> None:
    await make.payment(
        await make.profile(await make.customer()),
        proof_key="0" * 32,
        proof_name="a.pdf",
        proof_media_type="application/pdf",
        proof_size=4,
        proof_sha256="",
    )
    message = only(await collect(proofs.proofs(database, bucket_settings)), Level.WRONG)
    assert "of 1 proofs that were checked, 1 are missing or incomplete in s3://bucket" in message
