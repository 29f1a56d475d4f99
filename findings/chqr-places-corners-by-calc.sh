#!/usr/bin/env bash
# chqr 1.2.5, rendered by typst 0.15.2: the field for the payer of a Swiss QR-bill shrinks to a small square.
#
# A bill without a debtor leaves a field for handwriting, bounded by a mark at each of its four corners.
# chqr's SVG places three of them by `calc(52.6mm - 3mm - 0.3mm)` in the attributes `x` and `y`. Seen:
# - typst reads no such expression. It takes 0 instead, without an error or a warning, so that the four marks
#   stand on each other at the upper left: 3 mm instead of 52 x 20 mm, in the receipt and the payment part.
# - With the results in the place of the expressions, the marks stand in their corners.
# CSS has `calc()`, and SVG 2 reads these attributes as CSS: Chromium shows the bill right. SVG 1.1
# has a number with a unit there, and so have all other positions of the same file.
#
# Here: app/documents/pdf/payment_codes.py replaces each expression by its result;
# tests/documents/pdf/test_payment_codes.py has a bill without a debtor, which must have none left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check \
    chqr==1.2.5 typst==0.15.2 pillow==13.0.0

cd "$folder"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import io
import re
from decimal import Decimal
from pathlib import Path

import typst
from chqr import Creditor, QRBill
from PIL import Image

bill = QRBill(
    account="CH5204835012345671000",
    creditor=Creditor(name="Seller", street="Gasse 1", postal_code="8000", city="Zug", country="CH"),
    currency="CHF",
    amount=Decimal("10.00"),
    reference_type="NON",
)
SVG = bill.generate_svg("en")


def result(expression: re.Match[str]) -> str:
    first, *others = map(Decimal, re.findall(r"([\d.]+)mm", expression[0]))
    return f"{first - sum(others)}mm"


# The marks of the receipt, by the millimetres from the left and upper edges of the bill.
CORNERS = {"upper left": (5, 51), "upper right": (54, 51), "lower left": (5, 68), "lower right": (54, 68)}
for name, svg in (("calc", SVG), ("numbers", re.sub(r"calc\([^)]*\)", result, SVG))):
    Path("bill.svg").write_text(svg)
    Path("bill.typ").write_text(
        '#set page(width: 210mm, height: 108mm, margin: 0mm)\n#image("bill.svg", width: 210mm)\n'
    )
    png, warnings = typst.compile_with_warnings("bill.typ", format="png", ppi=254.0)
    page = Image.open(io.BytesIO(png)).convert("L")
    marked = []
    for corner, (x, y) in CORNERS.items():
        field = page.crop((x * 10, y * 10, (x + 3) * 10, (y + 3) * 10))
        if field.getextrema()[0] < 128:
            marked.append(corner)
    print(f"{name}: {', '.join(marked)}; {len(warnings)} warnings")
PYTHON
)
expected='calc: upper left; 0 warnings
numbers: upper left, upper right, lower left, lower right; 0 warnings'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
