// Calls of a running service through the generated client; see test_generated_clients.py.
import { strict as assert } from 'node:assert';
import { createClient, createConfig } from './client/client/index.js';
import {
  invoicesCount,
  invoicesGrowthRetrieve,
  invoicesItemsRetrieve,
  invoicesList,
  invoicesPaid,
  invoicesRetrieve,
  invoicesSendNotification,
  invoicesSetBackendId,
  invoicesSetPaymentUrl,
  invoicesSetReferenceNumber,
  invoicesStatsList,
} from './client/sdk.gen.js';
import type { Invoice, InvoiceItem } from './client/types.gen.js';

const [baseUrl, key, created, payable] = process.argv.slice(2) as [string, string, string, string];
const client = createClient(
  createConfig({ baseUrl, headers: { Authorization: `Token ${key}` }, throwOnError: true }),
);
const path = { uuid: created };

const list = await invoicesList({ client, query: { page_size: 100, o: ['-year', '-month'] } });
const invoices = list.data ?? [];
assert.ok(invoices.some((invoice) => invoice.uuid === created));
assert.equal(list.response?.headers.get('x-result-count'), String(invoices.length));
const few = await invoicesList({ client, query: { field: ['uuid', 'total'], state: ['created'] } });
assert.deepEqual(Object.keys(few.data?.[0] ?? {}), ['uuid', 'total']);
const counted = await invoicesCount({ client });
assert.equal(counted.response?.headers.get('x-result-count'), String(invoices.length));

const invoice = (await invoicesRetrieve({ client, path })).data;
assert.equal(invoice?.state, 'created');
const items: InvoiceItem[] = (await invoicesItemsRetrieve({ client, path })).data ?? [];
assert.equal(items.length, invoice?.items?.length);
assert.equal(typeof items[0]?.price, 'number');
const stats = (await invoicesStatsList({ client, path })).data;
assert.equal(typeof stats?.[0]?.aggregated_total, 'number');
assert.equal((await invoicesGrowthRetrieve({ client })).data?.periods.length, 13);

await invoicesSetBackendId({ client, path, body: { backend_id: 'b' } });
await invoicesSetPaymentUrl({ client, path, body: { payment_url: 'https://pay.example.com/' } });
await invoicesSetReferenceNumber({ client, path, body: { reference_number: 'r' } });
const scheduled = await invoicesSendNotification({ client, path });
assert.match(scheduled.data?.detail ?? '', /successfully scheduled/);
const paid = await invoicesPaid({ client, path: { uuid: payable }, body: { date: '2026-11-05' } });
const whole: Invoice | undefined = paid.data;
assert.equal(whole?.state, 'paid');
