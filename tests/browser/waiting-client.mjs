/** The JavaScript client against a real sluice: every way of waiting, and what networks do to them. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Problem, Sluice, inMemory } from '../../clients/js/src/index.js';
import { startSluice, until } from './house.mjs';
import { startProxy } from './waiting-proxy.mjs';

/** @type {Awaited<ReturnType<typeof startSluice>>} */
let house;
before(async () => (house = await startSluice()));
after(() => house.stop());

const ONE = { items: [{ sku: 'standard', quantity: 1 }] };

/** A sale whose line stands: the test lets it go on. */
const standing = (id, more = {}) => house.sale(id, { policy: { multiplier: 0 }, ...more });
const goOn = (id) => house.operator('PATCH', `/v1/sales/${id}/policy`, { multiplier: 1 });

/** Follows a place and keeps everything that is told. */
function watch(place) {
  const heard = { entries: [], lines: [], orders: [], connections: [], lost: null };
  place.follow({
    entry: (entry) => heard.entries.push({ ...entry }),
    line: (line) => heard.lines.push(line),
    order: (order) => heard.orders.push(order),
    connection: (connection) => heard.connections.push(connection),
    lost: (problem) => (heard.lost = problem),
  });
  return heard;
}

const live = (heard, by) => () => heard.connections.at(-1)?.state === 'live' && heard.connections.at(-1).by === by;
const polling = (heard) => () => heard.connections.at(-1)?.state === 'polling';
const reserved = (heard) => () => heard.entries.at(-1)?.state === 'reserved';

/** never-backwards, as its buyer saw it. */
function neverBackwards(heard) {
  const positions = heard.entries.map((entry) => entry.position).filter((position) => position != null);
  assert.deepEqual(positions, [...positions].sort((a, b) => b - a), 'a position rose');
  const versions = heard.entries.map((entry) => entry.version);
  assert.deepEqual(versions, [...versions].sort((a, b) => a - b), 'a version fell');
}

test('a WebSocket is first: from the line to a paid order, and the place is forgotten by leaving', async () => {
  await standing('push');
  await house.crowd('push', 5);
  const sluice = new Sluice({ base: house.base, sale: 'push', keeper: inMemory() });
  assert.equal((await sluice.info()).title, 'Sale push');
  const place = await sluice.join(ONE);
  assert.equal(place.entry.position, 6);
  const heard = watch(place);
  await until('a live socket', live(heard, 'socket'));
  await goOn('push');
  await until('the turn', reserved(heard));
  neverBackwards(heard);
  await until('the order', () => heard.orders.at(-1)?.state === 'awaiting_payment');
  const payment = await place.pay();
  assert.equal((await place.pay()).payment, payment.payment, 'a second payment was opened');
  await fetch(payment.pay_url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"result":"succeed"}' });
  await until('the goods', () => heard.orders.at(-1)?.state === 'fulfilled');
  place.stop();
});

test('where WebSockets are blocked events come, where those are blocked too it polls', async () => {
  await standing('blocked');
  await house.crowd('blocked', 3);
  const proxy = await startProxy(house.base);
  proxy.blockSocket = true;
  const sluice = new Sluice({ base: proxy.base, sale: 'blocked', keeper: inMemory() });
  const place = await sluice.join(ONE);
  const heard = watch(place);
  await until('live events', live(heard, 'events'));
  proxy.blockEvents = true;
  proxy.cut();
  await until('polling', polling(heard));
  assert.equal(heard.entries.at(-1).position, 4);
  const polls = proxy.asked.filter((asked) => asked.startsWith('GET') && asked.includes('/entries/'));
  assert.ok(polls.length > 0 && polls.every((asked) => /[?&]seen=\d+/.test(asked)), polls.join('\n'));
  await goOn('blocked');
  await until('the turn', reserved(heard));
  neverBackwards(heard);
  place.stop();
  await proxy.stop();
});

test('a restart and a dead network cost nothing but time', async () => {
  await standing('restart');
  await house.crowd('restart', 3);
  const proxy = await startProxy(house.base);
  const place = await new Sluice({ base: proxy.base, sale: 'restart', keeper: inMemory() }).join(ONE);
  const heard = watch(place);
  await until('a live socket', live(heard, 'socket'));
  await house.restart();
  await until('live again', () => heard.connections.some((one) => one.state === 'reconnecting') && live(heard, 'socket')());
  const told = heard.connections.length;
  proxy.deaf = true;
  proxy.cut();
  await until('to notice', () => heard.connections.slice(told).some((one) => one.state !== 'live'));
  proxy.deaf = false;
  proxy.cut();
  await until('live once more', () => heard.connections.at(-1).state === 'live', 40);
  await goOn('restart');
  await until('the turn', reserved(heard));
  neverBackwards(heard);
  place.stop();
  await proxy.stop();
});

test('a place is found again from what was kept, and after leaving there is nothing to find', async () => {
  await standing('kept');
  const keeper = inMemory();
  const first = await new Sluice({ base: house.base, sale: 'kept', keeper }).join(ONE);
  const again = await new Sluice({ base: house.base, sale: 'kept', keeper }).resume();
  assert.equal(again.id, first.id);
  assert.equal(again.entry.seq, first.entry.seq);
  const other = watch(first);
  await until('a live socket', live(other, 'socket'));
  await again.leave();
  await until('the other one to hear of it', () => other.entries.at(-1)?.state === 'left');
  assert.equal(await new Sluice({ base: house.base, sale: 'kept', keeper }).resume(), null);
});

test('a token of another deployment is of no use, and said to be', async () => {
  await standing('lost');
  const keeper = inMemory();
  const place = await new Sluice({ base: house.base, sale: 'lost', keeper }).join(ONE);
  place.token = `${place.token.slice(0, -4)}AAAA`;
  const heard = watch(place);
  await until('the bad news', () => heard.lost);
  assert.equal(heard.lost.code, 'bad_token');
  assert.equal(keeper.read(), null);
});

test('a cancelled order is closed, and a join that is refused says why', async () => {
  await house.sale('cancel');
  const sluice = new Sluice({ base: house.base, sale: 'cancel', keeper: inMemory() });
  const place = await sluice.join(ONE);
  const heard = watch(place);
  await until('the order', () => heard.orders.at(-1)?.state === 'awaiting_payment');
  await place.cancel();
  await until('the end', () => heard.orders.at(-1)?.state === 'closed');
  place.stop();
  await house.operator('POST', '/v1/sales/cancel/close', {});
  const late = new Sluice({ base: house.base, sale: 'cancel', keeper: inMemory() });
  await assert.rejects(late.join(ONE), (error) => error instanceof Problem && error.code === 'sale_closed');
  await assert.rejects(new Sluice({ base: house.base, sale: 'nothing' }).join(ONE), { code: 'no_such_sale' });
});

test('who asks too often waits as long as told', async () => {
  await standing('limited', { policy: { multiplier: 0, limits: { per_buyer: { per_second: 2, burst: 1 } } } });
  const proxy = await startProxy(house.base);
  const place = await new Sluice({ base: proxy.base, sale: 'limited', keeper: inMemory(), WebSocket: null }).join(ONE);
  const at = [];
  const codes = [];
  for (let n = 0; n < 3; n += 1) {
    await place.look().catch((error) => (codes.push(error.code), at.push(error.retryAfterMs)));
  }
  assert.ok(codes.includes('too_many_requests') && at.every((ms) => ms > 0), JSON.stringify({ codes, at }));
  const heard = watch(place);
  await until('news in spite of it', () => heard.entries.length > 0);
  place.stop();
  await proxy.stop();
});
