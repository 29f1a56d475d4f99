#!/usr/bin/env bash
# typst 0.15.2: an image with a width alone is cropped to the height that is left, without a warning.
#
# A square image of 34 mm is placed in a block 20 mm high. Seen:
# - `image(width: 34mm)` keeps its width and its scale, and loses its lower 14 mm. A QR code would lose the
#   lower one of its three corners, by which scanners find it. There is neither an error nor a warning.
# - With `height: 34mm` as well, the image is whole, and stands out of the block.
# - `fit: "contain"`, with the width alone, shrinks the image to 20 mm.
# The default of `fit` is "cover", which is known for two given sides; here the side that is "auto" is
# taken from the block and not from the image.
#
# Here: app/documents/pdf/document.typ gives both sides of the Swiss QR-bill, which stands in a block with
# a height. The EPC code has a width alone, in a block without a height, which moves to the next page whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check typst==0.15.2 pillow==13.0.0

cd "$folder"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import io
from pathlib import Path

import typst
from PIL import Image

# Red, with a blue stripe along its lower edge.
Path("square.svg").write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 34 34" width="34mm" height="34mm">'
    '<rect width="34" height="34" fill="#f00"/><rect y="30" width="34" height="4" fill="#00f"/></svg>'
)
for options in ("width: 34mm", "width: 34mm, height: 34mm", 'width: 34mm, fit: "contain"'):
    Path("page.typ").write_text(
        "#set page(width: 60mm, height: 60mm, margin: 0mm)\n"
        f'#block(width: 60mm, height: 20mm, image("square.svg", {options}))\n'
    )
    png, warnings = typst.compile_with_warnings("page.typ", format="png", ppi=254.0)
    page = Image.open(io.BytesIO(png)).convert("RGB")
    painted = [
        (x, y)
        for y in range(0, page.height, 10)
        for x in range(0, page.width, 10)
        if page.getpixel((x + 5, y + 5)) != (255, 255, 255)
    ]
    width = len({x for x, _ in painted})
    height = len({y for _, y in painted})
    stripe = any(page.getpixel((x + 5, y + 5)) == (0, 0, 255) for x, y in painted)
    print(f"{options}: {width} x {height} mm, lower edge {stripe}, {len(warnings)} warnings")
PYTHON
)
expected='width: 34mm: 34 x 20 mm, lower edge False, 0 warnings
width: 34mm, height: 34mm: 34 x 34 mm, lower edge True, 0 warnings
width: 34mm, fit: "contain": 20 x 20 mm, lower edge True, 0 warnings'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
