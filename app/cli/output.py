"""The files that commands write."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast


@contextmanager
def open_output(output: Path | None) -> Iterator[BinaryIO]:
    """Open the output: a file beside the target, which it replaces once it is complete."""
    if output is None or output == Path("-"):
        yield sys.stdout.buffer
        return
    with NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        try:
            if output.name.endswith(".gz"):
                # Without name and time, equal data gives an equal file.
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(output)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
