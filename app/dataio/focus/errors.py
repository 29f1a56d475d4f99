"""The error of a cost export that is not imported."""


class FocusImportError(Exception):
    """The file is not imported, and nothing of it was stored. The lines are for the operator."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
