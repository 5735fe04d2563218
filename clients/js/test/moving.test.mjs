/** A place that goes to another device: taken over once however often it is asked for, and `moved` for whoever had it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sluice, inMemory } from '../src/index.js';

const inMinutes = (n) => new Date(Date.now() + n * 60_000).toISOString();
const entry = (token, more) => ({
  ...{ entry: '1', sale: 'drop', state: 'waiting', version: 1, seq: 7, position: 3, serving: 4, order: null },
  ...{ token, token_expires_at: inMinutes(15), poll_after_ms: 5, links: { self: '/v1/sales/drop/entries/1', push: '' } },
  ...more,
});
const problem = (status, code) => Response.json({ code, detail: code, status, retry_after_ms: 1 }, { status });

function sluice(answer, keeper = inMemory()) {
  const asked = [];
  const fetch = async (url, { method, headers, body }) => {
    const question = { method, path: new URL(url).pathname, headers, body: body && JSON.parse(body) };
    asked.push(question);
    return answer(question, asked);
  };
  const options = { base: 'https://queue.example', sale: 'drop', keeper, fetch, WebSocket: null, random: () => 0 };
  return { sluice: new Sluice(options), asked, keeper };
}

test('a place is offered by an absolute link, with its own token', async () => {
  const offer = { link: '/w/drop#move=t', ticket: 't', expires_at: inMinutes(5), qr: '<svg/>' };
  const { sluice: here, asked } = sluice(({ path }) => Response.json(path.endsWith('/move') ? offer : entry('old')));
  const place = await here.join({ items: [{ sku: 'standard', quantity: 1 }] });
  assert.deepEqual(await place.offerMove(), { ...offer, link: 'https://queue.example/w/drop#move=t' });
  assert.equal(asked.at(-1).path, '/v1/sales/drop/entries/1/move');
  assert.equal(asked.at(-1).headers.authorization, 'Bearer old');
});

test('taking over is repeated under one key until somebody answers', async () => {
  const answers = [() => problem(503, 'unavailable'), () => Promise.reject(new TypeError('cut')), () => Response.json(entry('new'))];
  const { sluice: there, asked, keeper } = sluice((_, all) => answers[all.length - 1]());
  const place = await there.takeOver('t');
  assert.equal(place.token, 'new');
  assert.equal(keeper.read()?.token, 'new', 'it is remembered');
  assert.deepEqual(asked.map(({ path }) => path), Array(3).fill('/v1/sales/drop/move'));
  assert.ok(asked.every(({ body, headers }) => body.ticket === 't' && !headers.authorization));
  const keys = new Set(asked.map(({ headers }) => headers['idempotency-key']));
  assert.equal(keys.size, 1);
  assert.match([...keys][0], /^\d+(-\d+){3}$/);
});

test('a used ticket is not asked for again', async () => {
  const { sluice: there, asked } = sluice(() => problem(409, 'already_moved'));
  await assert.rejects(there.takeOver('t'), { code: 'already_moved' });
  assert.equal(asked.length, 1);
});

test('a place that was moved is forgotten, and resuming says why', async () => {
  const kept = { entry: '1', token: 'old', tokenExpiresAt: inMinutes(15), seen: 0, version: 1, first: 3, position: 3 };
  const { sluice: here, keeper } = sluice(() => problem(401, 'moved'));
  keeper.write({ ...kept, wasStandby: false, orderLink: null });
  await assert.rejects(here.resume(), { code: 'moved' });
  assert.equal(keeper.read(), null);
  assert.equal(await here.resume(), null, 'after that there is nothing');
});

test('who follows a place that was moved loses it by that name', async () => {
  let moved = false;
  const { sluice: here, keeper } = sluice(({ path }) => {
    if (moved) return problem(401, 'moved');
    return path.endsWith('/ticket') ? problem(404, 'not_found') : Response.json(entry('old'));
  });
  const place = await here.join({ items: [{ sku: 'standard', quantity: 1 }] });
  const lost = new Promise((resolve) => place.follow({ lost: resolve, entry: () => (moved = true) }));
  assert.equal((await lost).code, 'moved');
  assert.equal(keeper.read(), null);
});

test('another tab of the same browser that took it over is no loss', async () => {
  const tokens = [];
  const { sluice: here, keeper } = sluice(({ path, headers }) => {
    tokens.push(headers.authorization);
    if (path.endsWith('/entries')) return Response.json(entry('old', { token_expires_at: inMinutes(14) }));
    if (headers.authorization === 'Bearer old') return problem(401, 'moved');
    return path.endsWith('/ticket') ? problem(404, 'not_found') : Response.json(entry('new'));
  });
  const place = await here.join({ items: [{ sku: 'standard', quantity: 1 }] });
  keeper.write({ ...keeper.read(), token: 'new', tokenExpiresAt: inMinutes(15) });
  const seen = await new Promise((resolve, reject) => place.follow({ entry: resolve, lost: reject }));
  place.stop();
  assert.equal(seen.entry, '1');
  assert.ok(tokens.includes('Bearer new'));
  assert.equal(keeper.read()?.token, 'new');
});
