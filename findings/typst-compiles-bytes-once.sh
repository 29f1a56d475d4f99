#!/usr/bin/env bash
# typst 0.15.2: a compiler made of a template's bytes compiles once, one made of a path again and again.
#
# `Compiler` loads the fonts, so that it is kept for many documents, which differ by `sys_inputs`. It takes
# the template as a path or as bytes. Seen, for three documents each:
# - A path: three documents.
# - Bytes: the first document; then TypstError, "file not found", for a file named `__typst_py_bytes__.typ`
#   in the working directory. The bytes are gone after the first compilation.
# - `typst.compile` with the same bytes works each time, since it makes a compiler for each call.
#
# Here: app/documents/pdf/rendering.py keeps one compiler for each process, made of the path of document.typ.
# tests/documents/pdf/test_maker.py makes several documents in one process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check typst==0.15.2

cd "$folder"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from collections.abc import Callable
from pathlib import Path

import typst

TEMPLATE = b"Invoice #sys.inputs.number"
Path("invoice.typ").write_bytes(TEMPLATE)


def show(title: str, compile_one: Callable[..., bytes]) -> None:
    seen = []
    for number in ("1", "2", "3"):
        try:
            pdf = compile_one(format="pdf", sys_inputs={"number": number})
            seen.append(pdf[:4].decode())
        except typst.TypstError as error:
            message, _, searched = error.message.partition(" (")
            seen.append(f"{message}, {searched.rstrip(')').rpartition('/')[2]}")
    print(f"{title}:", "; ".join(seen))


show("compiler of a path", typst.Compiler("invoice.typ").compile)
show("compiler of bytes", typst.Compiler(TEMPLATE).compile)
show("function with bytes", lambda **options: typst.compile(TEMPLATE, **options))
PYTHON
)
expected='compiler of a path: %PDF; %PDF; %PDF
compiler of bytes: %PDF; file not found, __typst_py_bytes__.typ; file not found, __typst_py_bytes__.typ
function with bytes: %PDF; %PDF; %PDF'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
