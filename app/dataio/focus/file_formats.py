"""Files that are no CSV, known by how they begin."""

from typing import IO

from app.dataio.focus.errors import NotImported

GZIP = b"\x1f\x8b"
_CSV = "Export the bill as CSV, or convert the file to CSV, and import that."
_UNPACK = "Unpack it and import the CSV file in it; only gzip is unpacked here."
_UNPACK_OR_SAVE = "Unpack the CSV file in it, or save the sheet as CSV in UTF-8, and import that."
_UTF_8 = "Save it as CSV in UTF-8 and import that."
_BEGINNINGS = (
    (b"PAR1", "a Parquet file", _CSV),
    (b"PARE", "an encrypted Parquet file", _CSV),
    (b"Obj\x01", "an Avro file", _CSV),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", _UNPACK_OR_SAVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", _UTF_8),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", _UNPACK),
    (b"BZh", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "packed with LZ4", _UNPACK),
    (b"\xff\x06\x00\x00sNaPpY", "packed with Snappy", _UNPACK),
    (GZIP, "packed with gzip twice", _UNPACK),
    (b"%PDF-", "a PDF document", _CSV),
    (b"\xff\xfe", "text in UTF-16", _UTF_8),
    (b"\xfe\xff", "text in UTF-16", _UTF_8),
    (b"{", "JSON", _CSV),
    (b"[", "JSON", _CSV),
    (b"<", "XML or a web page, perhaps of a login", _CSV),
)
_LONGEST = 512
_MARK = b"\xef\xbb\xbf"


def refuse_other_formats(content: IO[bytes]) -> None:
    """Raise NotImported if the content, unpacked, is of a known format that is not CSV.

    `content` stays where it is; it must have `peek`.
    """
    start: bytes = content.peek(_LONGEST)[:_LONGEST]  # type: ignore[attr-defined]
    text = start.removeprefix(_MARK).lstrip()
    for beginning, called, remedy in _BEGINNINGS:
        if start.startswith(beginning) or text.startswith(beginning):
            raise NotImported(f"The file is {called}, and no CSV file.", remedy)
    if start[1:2] == b"\0" or start[:1] == b"\0":
        raise NotImported("The file is text in UTF-16, and no CSV file in UTF-8.", _UTF_8)
    if start[257:262] == b"ustar":
        raise NotImported("The file is a tar archive, and no CSV file.", _UNPACK)
