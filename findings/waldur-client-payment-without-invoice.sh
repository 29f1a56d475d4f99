#!/usr/bin/env bash
# waldur-api-client 8.1.3: a payment without an invoice cannot be read.
#
# A payment may be recorded before it is linked to an invoice. The published API schema declares
# `invoice` and `invoice_uuid` as required and never null, and only `invoice_period` as nullable.
# Seen: null as `invoice_uuid` raises TypeError and a missing `invoice_uuid` raises KeyError, so that
# one such payment makes a whole page of the list unreadable. Null as `invoice` passes, although the
# type of the field is str. The nil UUID passes.
#
# Here: a payment without an invoice has the nil UUID as `invoice_uuid`, and null as `invoice` and
# `invoice_period`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check waldur-api-client==8.1.3

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import httpx
from waldur_api_client import AuthenticatedClient
from waldur_api_client.api.payments import payments_list

PAYMENT = {
    "uuid": "3f0f3f9c-6f0a-4b52-8f3c-1f1d7f0a5b11",
    "url": "http://billing.example/api/payments/3f0f3f9c6f0a4b528f3c1f1d7f0a5b11/",
    "profile": "http://billing.example/api/payment-profiles/8d1a40d04fc74b91a1f6a0f2b1c3d4e5/",
    "date_of_payment": "2026-11-01",
    "sum": "10.00",
    "proof": None,
    "invoice": None,
    "invoice_period": None,
    "customer_uuid": "0b3f8a52-52f6-4c7c-9f0e-7a1f2b3c4d5e",
}


def read(**invoice: object) -> str:
    body = [PAYMENT | invoice]
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
    client = AuthenticatedClient(base_url="http://billing.example", token="key")
    client.set_httpx_client(httpx.Client(base_url="http://billing.example", transport=transport))
    try:
        payment = payments_list.sync(client=client)[0]
    except (TypeError, KeyError) as error:
        return type(error).__name__
    return f"read, invoice {payment.invoice}, invoice_uuid {payment.invoice_uuid}"


print("null:", read(invoice_uuid=None))
print("missing:", read())
print("nil UUID:", read(invoice_uuid="00000000-0000-0000-0000-000000000000"))
PYTHON
)
expected='null: TypeError
missing: KeyError
nil UUID: read, invoice None, invoice_uuid 00000000-0000-0000-0000-000000000000'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
