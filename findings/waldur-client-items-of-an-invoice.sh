#!/usr/bin/env bash
# waldur-api-client 8.1.3: the items of an invoice cannot be read with invoices_items_retrieve.
#
# The endpoint answers an array of items. The published API schema declares one object, so the client
# builds one item from the array. Seen: an array with an item raises ValueError; an empty array
# passes without a word and comes back as one item of which every field is unset.
#
# Here: the endpoint answers an array, as the documentation's text says and every Waldur does. A user
# of this client reads the items from invoices_retrieve instead; the tests of the client except this
# one call.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check waldur-api-client==8.1.3

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import httpx
from waldur_api_client import AuthenticatedClient
from waldur_api_client.api.invoices import invoices_items_retrieve
from waldur_api_client.types import Unset

ITEM = {"uuid": "3f0f3f9c-6f0a-4b52-8f3c-1f1d7f0a5b11", "name": "Storage", "price": 1.5}


def read(array: list[dict[str, object]]) -> str:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=array))
    client = AuthenticatedClient(base_url="http://invoices.example", token="key")
    client.set_httpx_client(
        httpx.Client(base_url="http://invoices.example", transport=transport)
    )
    try:
        item = invoices_items_retrieve.sync(uuid=ITEM["uuid"], client=client)
    except ValueError:
        return "ValueError"
    unset = isinstance(item.uuid, Unset) and isinstance(item.price, Unset)
    return f"{type(item).__name__}, unset: {unset}"


print("one item:", read([ITEM]))
print("no items:", read([]))
PYTHON
)
expected='one item: ValueError
no items: InvoiceItem, unset: True'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
