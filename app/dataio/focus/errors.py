"""Why a cost export is not imported, in lines for whoever asked for it."""


class NotImported(Exception):
    """The file is not imported; nothing of it was written."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
