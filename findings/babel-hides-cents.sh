#!/usr/bin/env bash
# babel 2.19.0: the precision of a currency is that of common print, not that of ISO 4217.
#
# Seen: get_currency_precision gives 0 decimals for the forint, the Colombian peso, the rupiah and the
# Iraqi dinar, and format_currency rounds 1234.56 HUF to a whole number. ISO 4217 gives the first three
# 2 decimals and the dinar 3, and they are billed so. Babel follows the Unicode CLDR, whose fraction
# digits are for display. For the yen and the Bahraini dinar both agree.
#
# Here: amounts have the decimals of app/billing/currencies.py, which is the standard's own list.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check babel==2.19.0

seen=$("$folder/venv/bin/python" - <<'PYTHON'
from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision

for code in ("HUF", "COP", "IDR", "IQD", "JPY", "BHD"):
    print(code, get_currency_precision(code))
print(format_currency(Decimal("1234.56"), "HUF", locale="en"))
PYTHON
)
expected='HUF 0
COP 0
IDR 0
IQD 0
JPY 0
BHD 3
HUF1,235'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
