/** Whose order it is: the deployment's own, or the shop's. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sluice, inMemory } from '../src/index.js';

const ORDER = '019ab3f2-6c1e-7d40-9b7c-2f6a1c0e5d11';

/** A place whose entry is reserved, with a link to its order; and who was asked for what. */
async function reserved(link, more = {}, self = '/v1/sales/drop/entries/1') {
  const asked = [];
  const entry = {
    ...{ entry: '1', sale: 'drop', state: 'reserved', version: 3, seq: 7, position: null, serving: 7, order: ORDER },
    ...{ token: 'secret', token_expires_at: new Date(Date.now() + 900_000).toISOString(), links: { self, push: '', order: link } },
  };
  const fetch = async (url, { method, headers }) => {
    asked.push({ url, token: headers.authorization });
    return Response.json(url.endsWith('/entries') ? entry : { order: ORDER, version: 1, state: 'awaiting_payment', pay_url: '/pay' });
  };
  const options = { base: 'https://queue.example', sale: 'drop', keeper: inMemory(), fetch, WebSocket: null, ...more };
  const place = await new Sluice(options).join({ items: [{ sku: 'standard', quantity: 1 }] });
  return { place, asked };
}

const own = async (...of) => (await reserved(...of)).place.hasOwnOrder;
const path = `/v1/orders/${ORDER}`;

test('an order is ours by the origin of its link, and by nothing that a shop can imitate', async () => {
  assert.ok(await own(path));
  assert.ok(await own(`https://queue.example${path}`));
  assert.ok(!(await own(`https://shop.example${path}`)));
  assert.ok(!(await own(`https://queue.example.shop.example${path}`)));
  assert.ok(!(await own(`http://queue.example${path}`)), 'another scheme');
  assert.ok(!(await own(`https://queue.example:444${path}`)), 'another port');
  assert.ok(!(await own(`//shop.example${path}`)));
  assert.ok(!(await own('https://[broken')));
  assert.ok(!(await own('/v1/orders/another')));
});

test('orders may be kept at an origin of their own, and the deployment may have a public name', async () => {
  const apart = `https://orders.example${path}`;
  assert.ok(!(await own(apart)));
  assert.ok(await own(apart, { orders: 'https://orders.example' }));
  const inside = { base: 'http://10.0.0.7:8080' };
  assert.ok(await own(`https://queue.example${path}`, inside, 'https://queue.example/v1/sales/drop/entries/1'));
});

test('a shop never sees the token', async () => {
  const { place, asked } = await reserved(`https://shop.example${path}`);
  for (const act of ['pay', 'cancel', 'readOrder']) {
    await assert.rejects(place[act](), { code: 'wrong_state' });
  }
  assert.ok(asked.every(({ url }) => url.startsWith('https://queue.example/')), JSON.stringify(asked));
  const ours = await reserved(path);
  await ours.place.pay();
  assert.deepEqual(ours.asked.at(-1), { url: `https://queue.example${path}/payment`, token: 'Bearer secret' });
});
