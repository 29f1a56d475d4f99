"""Self-signed certificates."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(place: Path) -> tuple[Path, Path]:
    """Return the files of a key and of its certificate, for this machine; clients can trust it.

    The test is skipped where there is nothing to make them with.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = place / "key.pem", place / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    kind += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    kind += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run(
        [openssl, "req", *kind, "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return key, certificate
