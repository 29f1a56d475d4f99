#!/usr/bin/env bash
# @hey-api/client-fetch 0.13.1 (npm): a HEAD request rejects where the answer has a JSON Content-Type.
#
# The runtime of clients that openapi-ts generates chooses its parser by Content-Type alone, also
# where the method is HEAD and there is no body. Seen: with "application/json" the call throws a
# SyntaxError although the status is 200; without Content-Type it returns, and the count can be read
# from the headers. RFC 9110 allows HEAD to send the Content-Type of GET.
#
# Here: answers to HEAD have no Content-Type, so that counting invoices works with these clients.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund @hey-api/client-fetch@0.13.1 >/dev/null

cat >count.js <<'JAVASCRIPT'
import { createClient } from '@hey-api/client-fetch';

async function count(headers) {
  const answer = async () => new Response(null, { status: 200, headers });
  const client = createClient({ baseUrl: 'http://invoices.example', fetch: answer });
  try {
    const { response } = await client.head({ url: '/api/invoices/' });
    return response.headers.get('x-result-count');
  } catch (error) {
    return error.name;
  }
}

const total = { 'x-result-count': '3' };
console.log('with a type:', await count({ ...total, 'content-type': 'application/json' }));
console.log('without:', await count(total));
JAVASCRIPT
seen=$(node count.js)
expected='with a type: SyntaxError
without: 3'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
