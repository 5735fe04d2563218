/**
 * Standing by on the waiting page: neither number nor position, asked for as rarely as the server says, given up by choice,
 * and an offer heard of like any call. The deployment is played here, entry by entry, as the contract has it.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SIZES, axe, complaints, shoot, startBrowser, startSluice, until } from './house.mjs';
import { startProxy } from './waiting-proxy.mjs';

let house, browser;
before(async () => {
  house = await startSluice();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

const ENTRY = '019ab3f2-6c1e-7d40-9b7c-2f6a1c0e5d11';
const POLL_AFTER_MS = 1_500;
const inMinutes = (n) => new Date(Date.now() + n * 60_000).toISOString();

/** A deployment whose line is full: who joins stands by, until `offer()`. Without push, so that it has to be asked. */
async function full(id) {
  await house.sale(id, { title: 'Harbour Lights' });
  const played = { asked: [], left: false, reserved: false };
  const own = `/v1/sales/${id}/entries`;
  const entry = () => {
    const waits = { state: 'standby', version: 2, odds: 'unlikely', order: null };
    const has = { state: 'reserved', version: 3, odds: null, order: ENTRY, pay_by: inMinutes(15) };
    const links = { self: `${own}/${ENTRY}`, push: `/v1/sales/${id}/push`, ...(played.reserved ? { order: `/v1/orders/${ENTRY}` } : {}) };
    return {
      ...{ entry: ENTRY, sale: id, seq: null, position: null, serving: 12, eta_seconds: null, poll_after_ms: POLL_AFTER_MS },
      ...{ token: 'a-token', token_expires_at: inMinutes(15), links, ...(played.reserved ? has : waits) },
    };
  };
  const order = () => ({
    ...{ order: ENTRY, sale: id, entry: ENTRY, state: 'awaiting_payment', version: 1, amount_fen: 9_900, currency: 'CNY' },
    ...{ items: [{ sku: 'standard', quantity: 1, seat: null, from: null, to: null, amount_fen: 9_900 }] },
    ...{ pay_by: inMinutes(15), history: [] },
  });
  const proxy = await startProxy(house.base, (from, to) => {
    const say = (status, body) => {
      to.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body));
      return true;
    };
    const path = from.url?.split('?')[0];
    if (from.method === 'POST' && path === own) return say(202, entry());
    if (path === `${own}/${ENTRY}/ticket`) return say(200, { links: { events: `/v1/sales/${id}/events?ticket=t` } });
    if (path === `/v1/orders/${ENTRY}`) return say(200, order());
    if (path !== `${own}/${ENTRY}`) return false;
    if (from.method === 'DELETE') return (played.left = true), say(204);
    played.asked.push(Date.now());
    return say(200, entry());
  });
  proxy.blockSocket = proxy.blockEvents = true;
  return { played, proxy };
}

async function visit(base, id, more = {}) {
  const context = await browser.newContext({ viewport: SIZES.phone, locale: 'en', ...more });
  const page = await context.newPage();
  const heard = complaints(page);
  // A browser that may notify, and a page that can be behind another.
  await page.addInitScript(() => {
    globalThis.notes = [];
    globalThis.Notification = class {
      static permission = 'granted';
      constructor(title, { body }) {
        globalThis.notes.push({ title, body });
      }
    };
    Object.defineProperty(document, 'hidden', { get: () => globalThis.behind ?? false });
  });
  await page.goto(`${base}/w/${id}`);
  await page.locator('button.main').click();
  await page.waitForSelector('#scene[data-scene="standby"]');
  return { context, page, heard };
}

test('who stands by is told so, asks rarely, and hears of an offer as of any call', async (t) => {
  const { played, proxy } = await full('full');
  t.after(() => proxy.stop());
  const { context, page, heard } = await visit(proxy.base, 'full');
  assert.equal(await page.innerText('h1'), 'You are standing by');
  assert.match(await page.innerText('#scene'), /we tell you here.*keep this page open, or come back to it/);
  assert.deepEqual(await axe(page), []);
  await shoot(page, 'waiting/standby/waits');
  await page.waitForSelector('#connection[data-state="polling"]', { timeout: 60_000 });
  const before = played.asked.length;
  await until('a few polls', () => played.asked.length >= before + 4);
  const polls = played.asked.slice(before);
  const pauses = polls.slice(1).map((at, n) => at - polls[n]);
  assert.ok(pauses.every((ms) => ms >= POLL_AFTER_MS - 50), `sooner than told: ${pauses}`);
  // Somebody who comes back finds the same.
  await page.reload();
  await page.waitForSelector('#scene[data-scene="standby"]');
  await page.evaluate(() => (globalThis.behind = true));
  played.reserved = true;
  await page.waitForSelector('#scene[data-scene="offer"]', { timeout: 60_000 });
  assert.equal(await page.title(), 'Your turn! – Harbour Lights');
  assert.equal(await page.innerText('h1'), 'Something came free – it is yours if you pay');
  assert.equal(await page.innerText('#say'), 'Something came free – it is yours if you pay');
  assert.deepEqual(await page.evaluate(() => globalThis.notes), [
    { title: 'Something came free – it is yours if you pay', body: 'Harbour Lights: your order is waiting to be paid.' },
  ]);
  await page.getByRole('button', { name: /^Pay .*99\.00/ }).waitFor();
  await shoot(page, 'waiting/standby/offer');
  assert.deepEqual(await axe(page), []);
  assert.deepEqual(heard, []);
  await context.close();
});

test('standing by is given up by choice, in Chinese too', async (t) => {
  const { played, proxy } = await full('given-up');
  t.after(() => proxy.stop());
  const { context, page } = await visit(proxy.base, 'given-up', { locale: 'zh-CN' });
  assert.equal(await page.innerText('h1'), '您正在候补');
  await page.getByRole('button', { name: '放弃候补' }).click();
  await page.getByRole('dialog', { name: '要放弃候补吗？' }).getByRole('button', { name: '是，放弃' }).click();
  await page.waitForSelector('#scene[data-scene="left"]');
  assert.ok(played.left);
  await context.close();
});
