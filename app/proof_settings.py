"""The settings of the store of proofs of payment: a folder, or a bucket of an object store."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AnyHttpUrl,
    BeforeValidator,
    FilePath,
    InstanceOf,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.urls import BucketUrl, parse_file_store

_PROOF_DIR = Path("var/proofs")


def _file_store(value: object) -> object:
    return parse_file_store(value) if isinstance(value, str) else value


class ProofStoreSettings(BaseSettings):
    """The place of the proofs of payment, and their limits."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    proof_dir: Path = _PROOF_DIR
    """The directory of proofs of payment, shared by all processes: short for PROOF_STORE with a
    `file:///` URL."""
    proof_store: Annotated[
        InstanceOf[Path] | InstanceOf[BucketUrl] | None, NoDecode, BeforeValidator(_file_store)
    ] = None
    """Where proofs are stored, instead of PROOF_DIR: `file:///folder` or `s3://bucket/prefix`. A
    folder is in `proof_dir` once it is validated."""
    proof_store_timeout: PositiveInt = 5
    """Seconds in which an object store must answer, or take 5 MiB of a proof, before a request gets
    a 503."""
    aws_endpoint_url_s3: AnyHttpUrl | None = None
    """The URL of an object store other than Amazon's. The store of proofs uses it, and the other
    settings with these names of the AWS tools."""
    aws_region: str | None = None
    """The region of the bucket; `us-east-1` by default."""
    aws_access_key_id: str | None = None
    """The access key. Without it, credentials come from the other sources of AWS: a web identity,
    the container's role or the instance's."""
    aws_secret_access_key: SecretStr | None = None
    """The secret of the access key."""
    aws_ca_bundle: FilePath | None = None
    """A file of CA certificates, in PEM, that are trusted besides those of the system."""
    proof_max_bytes: PositiveInt = 10 * 1024 * 1024
    """The largest proof that is accepted, in bytes."""

    @field_validator("proof_store")
    @classmethod
    def _check_only_place(
        cls, store: Path | BucketUrl | None, known: ValidationInfo
    ) -> Path | BucketUrl | None:
        # By identity: PROOF_DIR may be set to the default, too.
        if store is not None and known.data.get("proof_dir") is not _PROOF_DIR:
            raise ValueError("PROOF_DIR, which is short for a file:/// URL, is set as well")
        return store

    @field_validator("aws_secret_access_key")
    @classmethod
    def _check_pair(cls, secret: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (known.data.get("aws_access_key_id") is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together")
        return secret

    @model_validator(mode="after")
    def _use_folder(self) -> Self:
        if isinstance(self.proof_store, Path):
            self.proof_dir, self.proof_store = self.proof_store, None
        return self
