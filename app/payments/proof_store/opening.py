"""Opens the store of proofs that the settings name."""

from pathlib import Path

from app.payments.proof_store.bucket import open_bucket
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.store import ProofStore
from app.proof_settings import ProofStoreSettings
from app.urls import BucketUrl


def open_store(settings: ProofStoreSettings, *, creates: bool = True) -> ProofStore:
    """Return the store of the settings; `creates` is that of `FolderStore`."""
    return open_place(settings.proof_store or settings.proof_dir, settings, creates=creates)


def open_place(
    place: Path | BucketUrl, settings: ProofStoreSettings, *, creates: bool = True
) -> ProofStore:
    """Return the store at a place, with the limits and the credentials of the settings."""
    if isinstance(place, BucketUrl):
        return open_bucket(place, settings)
    return FolderStore(place, settings.proof_max_bytes, creates=creates)
