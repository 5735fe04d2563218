// The backend by itself: what it reads, what its books hold, and what survives a kill. The whole, with Sluice and a real
// RabbitMQ, is tests/it/external.rs.

import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { options, readTurn, settle, Unreadable } from './backend.js';
import { Shop } from './shop.js';
import { Refused, Unsure } from './sluice.js';

const event = (entry, data = {}) =>
  Buffer.from(
    JSON.stringify({
      type: 'sluice.turn.v1',
      data: { entry, sale: 'drop', buyer: `buyer-of-${entry}`, items: [{ sku: 'standard', quantity: 1 }], ...data },
    }),
  );

/** Books of two units, in a folder of their own. */
async function books(context, window = 900) {
  const folder = await mkdtemp(join(tmpdir(), 'shop-'));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'shop.journal');
  const shop = await Shop.open(path, window);
  await shop.stockUp('drop', 'standard', 2);
  const decide = async (entry, data) => shop.decide(readTurn(event(entry, data)));
  const left = () => shop.remaining()[0][2];
  return { shop, path, decide, left };
}

test('items of one SKU are summed', () => {
  const items = [1, 2].map((quantity) => ({ sku: 'a', quantity }));
  assert.deepEqual(readTurn(event('e', { items })).items, new Map([['a', 3]]));
});

test('foreign messages are named as such', () => {
  const broken = [[], [{ sku: 'a', quantity: -1 }], [{ quantity: 1 }], [null], 'a'].map((items) => event('e', { items }));
  for (const body of ['', '\xff', '[]', 'null', '{}', '{"type":"shop.order.v1"}', ...broken]) {
    assert.throws(() => readTurn(Buffer.from(body)), Unreadable, String(body));
  }
});

test('a repeat takes nothing more, at the same moment or later', async (context) => {
  const { shop, decide, left } = await books(context);
  const [first, same] = await Promise.all([decide('e'), decide('e')]);
  assert.equal(first.order, same.order);
  assert.equal((await decide('e')).order, first.order);
  assert.equal(left(), 1);
  await shop.close();
});

test('all or nothing, until it is sold out; one live order for each buyer', async (context) => {
  const { shop, decide, left } = await books(context);
  const outcome = async (...turn) => (await decide(...turn)).outcome;
  assert.equal(await outcome('a', { items: [{ sku: 'standard', quantity: 3 }] }), 'sold_out');
  assert.equal(await outcome('b', { buyer: 'x' }), 'reserved');
  assert.equal(await outcome('c', { buyer: 'x' }), 'refused');
  assert.equal(await outcome('d'), 'reserved');
  assert.equal(await outcome('e'), 'sold_out');
  assert.equal(left(), 0);
  await shop.close();
});

test('what nobody pays goes back and is told', async (context) => {
  const { shop, decide, left } = await books(context, -1);
  const late = await decide('late');
  const paid = await decide('paid');
  await shop.settled('late');
  assert.ok((await shop.pay(paid.order)) && (await shop.pay(paid.order)));
  assert.equal(await shop.closeDue(), 1);
  assert.equal(left(), 1);
  assert.equal(await shop.pay(late.order), false);
  assert.deepEqual(shop.untold().map(({ entry, state }) => [entry, state]), [['late', 'closed']]);
  await shop.told('late', 'closed');
  await shop.settled('paid');
  assert.deepEqual(shop.untold().map(({ entry, state }) => [entry, state]), [['paid', 'paid']]);
  await shop.close();
});

test('the journal is all there is; what a crash cut off was never said', async (context) => {
  const { shop, path, decide } = await books(context);
  const first = await decide('a');
  await assert.rejects(Shop.open(path, 900), /another process/);
  await shop.close();
  await appendFile(path, '{"kind":"decided","entry":"b","sa');
  const again = await Shop.open(path, 900);
  await again.stockUp('drop', 'standard', 2);
  assert.equal(again.remaining()[0][2], 1, 'stock is what it was, not what is said again');
  assert.equal((await again.decide(readTurn(event('a')))).order, first.order);
  assert.equal((await again.decide(readTurn(event('b')))).outcome, 'reserved');
  await again.close();
});

test('another outcome that stands gives the goods back, silence does not', async (context) => {
  const { shop, left } = await books(context);
  const sluice = (fault) => ({ outcome: () => Promise.reject(fault) });
  await settle(readTurn(event('left')), shop, sluice(new Refused(409, 'it stands')), '');
  assert.equal(left(), 2);
  assert.deepEqual(shop.untold(), []);
  await assert.rejects(settle(readTurn(event('e')), shop, sluice(new Unsure('503')), ''), Unsure);
  assert.equal(left(), 1);
  await shop.close();
});

test('the link is the checkout', async (context) => {
  const { shop } = await books(context);
  const told = [];
  const sluice = { outcome: async (...report) => void told.push(report) };
  await settle(readTurn(event('e')), shop, sluice, 'https://shop.example.com/pay');
  const [[entry, { outcome, order, url }]] = told;
  assert.deepEqual([entry, outcome, url], ['e', 'reserved', `https://shop.example.com/pay/${order}`]);
  await shop.close();
});

test('a stock that is no stock is named', () => {
  assert.deepEqual(options(['--stock', 'drop/standard=5']).stock, [['drop', 'standard', 5]]);
  assert.throws(() => options(['--stock', 'drop']), /SALE\/SKU=UNITS/);
});
