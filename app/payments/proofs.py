"""Proofs of payment: their keys, media types, names and digests."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import category

from app.domain_errors import LimitExceeded

_KEY: Final = re.compile(r"[0-9a-f]{32}")
_NAME_MAX: Final = 200
_SUFFIX_MAX: Final = 20

_SIGNATURES: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
)
MEDIA_TYPES: Final = (
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/webp",
    "image/heic",
)
"""The media types of proofs."""

_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
)


class ProofTooLarge(LimitExceeded):
    """The proof is larger than PROOF_MAX_BYTES."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The proof is larger than {max_bytes} bytes.")


class ProofRefused(ValueError):
    """The file is empty or of another media type than `MEDIA_TYPES`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A stored proof, as its payment describes it."""

    key: str
    name: str
    media_type: str
    size: int
    """In bytes."""
    sha256: str


def is_key(name: str) -> bool:
    """Return whether a name is the key of a proof."""
    return _KEY.fullmatch(name) is not None


def require_key(key: str) -> str:
    """Return the key; raises `ValueError` if it is invalid."""
    if not is_key(key):
        raise ValueError("not the key of a proof")
    return key


def media_type(head: bytes) -> str | None:
    """Return the media type of a file by its first bytes; None if it is no type of proof."""
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # The major brand, its version, then the compatible brands.
        length = min(int.from_bytes(head[:4]), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
        if brands & _HEIC_BRANDS:
            return "image/heic"
    return None


def safe_name(name: str) -> str:
    """Return a file name to display: without path and control characters, of limited length."""
    last = re.split(r"[/\\]", name)[-1]
    # Categories: control, format (such as right-to-left marks), surrogate, line, paragraph.
    text = "".join(c for c in last if category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if len(text) > _NAME_MAX:
        suffix = Path(text).suffix
        suffix = suffix if len(suffix) <= _SUFFIX_MAX else ""
        text = text[: _NAME_MAX - len(suffix)] + suffix
    return text if text.strip(".") else "proof"
