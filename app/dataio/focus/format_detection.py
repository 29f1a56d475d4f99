"""Detects files that are not CSV by their first bytes."""

from app.dataio.focus.errors import FocusImportError

PARQUET = b"PAR1"
GZIP = b"\x1f\x8b"
_CSV = "Export the bill as CSV, or convert the file to CSV, and import that."
_UNPACK = "Decompress it and import the CSV file; the import decompresses only gzip."
_UNPACK_OR_SAVE = "Extract the CSV file, or save the sheet as CSV in UTF-8, and import that."
_UTF_8 = "Save it as CSV in UTF-8 and import that."
_SIGNATURES = (
    (b"PARE", "an encrypted Parquet file", _CSV),
    (b"Obj\x01", "an Avro file", _CSV),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", _UNPACK_OR_SAVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", _UTF_8),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", _UNPACK),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy", _UNPACK),
    (GZIP, "compressed with gzip twice", _UNPACK),
    (b"%PDF-", "a PDF document", _CSV),
    (b"\xff\xfe", "text in UTF-16", _UTF_8),
    (b"\xfe\xff", "text in UTF-16", _UTF_8),
    (b"{", "JSON", _CSV),
    (b"[", "JSON", _CSV),
    (b"<", "XML or a web page, perhaps of a login", _CSV),
)
START_BYTES = 512
"""The first bytes of a file, which show its format."""
_BOM = b"\xef\xbb\xbf"


def require_csv(start: bytes) -> None:
    """Raise FocusImportError if a decompressed file has a known format other than CSV.

    `start` has its first START_BYTES, or all of a shorter file.
    """
    text = start.removeprefix(_BOM).lstrip()
    for signature, name, remedy in _SIGNATURES:
        if start.startswith(signature) or text.startswith(signature):
            raise FocusImportError(f"The file is {name}, not a CSV file.", remedy)
    if start[1:2] == b"\0" or start[:1] == b"\0":
        raise FocusImportError("The file is text in UTF-16, not a CSV file in UTF-8.", _UTF_8)
    if start[257:262] == b"ustar":
        raise FocusImportError("The file is a tar archive, not a CSV file.", _UNPACK)
