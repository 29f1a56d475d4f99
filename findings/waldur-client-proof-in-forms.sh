#!/usr/bin/env bash
# waldur-api-client 8.1.3: two of its three bodies of a payment do not send the proof that was given.
#
# `payments_create` accepts PaymentRequest (JSON), PaymentRequestForm and PaymentRequestMultipart, each
# with an optional file `proof`. Seen:
# - The form body accepts a File and sends its three parts as three text fields named `proof`: the
#   file's name, the text of the Python object, and the media type. The content is not sent.
# - The multipart body sends `proof=None`, which the type allows, as a text part with the four letters
#   None. A server cannot know it from a text that was meant.
# - The multipart body with a File sends the file as expected.
#
# Here: a proof that is text is refused with 400, so that no payment is recorded without the proof
# that its sender believes to have sent. An empty text stands for no proof, as web forms send it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check waldur-api-client==8.1.3

seen=$("$folder/venv/bin/python" - <<'PYTHON'
import datetime
import io
from urllib.parse import parse_qs

import httpx
from waldur_api_client import AuthenticatedClient
from waldur_api_client.api.payments import payments_create
from waldur_api_client.errors import UnexpectedStatus
from waldur_api_client.models import PaymentRequestForm, PaymentRequestMultipart
from waldur_api_client.types import File


def send(body: type, proof: File | None) -> bytes:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(400)

    client = AuthenticatedClient(base_url="http://billing.example", token="key")
    client.set_httpx_client(
        httpx.Client(base_url="http://billing.example", transport=httpx.MockTransport(answer))
    )
    payment = body(
        profile="http://billing.example/api/payment-profiles/8d1a40d04fc74b91a1f6a0f2b1c3d4e5/",
        date_of_payment=datetime.date(2026, 11, 1),
        sum_="10.00",
        proof=proof,
    )
    try:
        payments_create.sync(client=client, body=payment)
    except UnexpectedStatus:
        pass
    return requests[0].content


def proof() -> File:
    return File(payload=io.BytesIO(b"%PDF-1.4"), file_name="proof.pdf", mime_type="application/pdf")


fields = parse_qs(send(PaymentRequestForm, proof()).decode())["proof"]
print("form, file:", [field.partition(" object at")[0] for field in fields])
part = send(PaymentRequestMultipart, None).split(b'name="proof"')[1].split(b"\r\n--")[0]
print("multipart, None:", part.decode().split())
part = send(PaymentRequestMultipart, proof()).split(b'name="proof"')[1].split(b"\r\n--")[0]
print("multipart, file:", part.decode().split())
PYTHON
)
expected="form, file: ['proof.pdf', '<_io.BytesIO', 'application/pdf']
multipart, None: ['Content-Type:', 'text/plain', 'None']
multipart, file: [';', 'filename=\"proof.pdf\"', 'Content-Type:', 'application/pdf', '%PDF-1.4']"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
