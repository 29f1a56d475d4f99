"""Errors of printed documents."""


class PdfError(Exception):
    """The PDF could not be made. The document itself is unharmed; a later attempt may succeed."""


class PdfTimeout(PdfError):
    """The PDF took longer than is allowed, or was waiting for longer."""


class PdfProcessDied(PdfError):
    """The process that made the PDF was killed, or needed more memory than is allowed."""
