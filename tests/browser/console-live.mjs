/** One sale, live: the numbers are the API's and move with a crowd; a lost connection is told, and numbers grow old. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { go, signIn, startHouse, swarm } from './console-house.mjs';
import { startBrowser, until } from './house.mjs';

/** @type {import('./console-house.mjs').House} */
let house;
/** @type {import('./console-house.mjs').Browser} */
let browser;
before(async () => {
  house = await startHouse();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

const tile = async (page, name) => (await page.innerText(`[data-tile="${name}"]`)).split('\n');
const number = (text) => Number(text.replace(/[^0-9.]/g, ''));
const value = async (page, name) => number((await tile(page, name))[1]);

test('the numbers are those of the API, each second, and move with a crowd', async () => {
  await house.sale('crowd', { skus: [{ sku: 'standard', stock: 400, amount_fen: 9900, currency: 'CNY' }], policy: { tail_per_second: 8, fraction: 0.001 } });
  const { page, context, heard } = await signIn(browser, house, { at: '#/sale/crowd' });
  await page.waitForSelector('[data-tile=waiting]');
  const crowd = swarm(house, 'crowd', 300, '2s', ['--push', '0.5']);
  try {
    await until('a line', async () => (await value(page, 'waiting')) > 50);
    await until('the line to move', async () => (await value(page, 'rate')) > 2);
    await until('push connections', async () => (await value(page, 'push')) > 10);
    await until('waits', async () => (await tile(page, 'waits'))[1] !== '–');
    await until('stock to shrink', async () => (await value(page, 'remaining')) < 390);
    assert.match((await tile(page, 'rate'))[2], /wanted 8, by the law 8/);
    assert.equal((await tile(page, 'back-pressure'))[1], 'none');
    // What the page says lies between what the API said before and after.
    await until('the same line as the API tells', async () => {
      const before = await house.operator('GET', '/v1/sales/crowd/stats');
      const shown = await value(page, 'waiting');
      const later = await house.operator('GET', '/v1/sales/crowd/stats');
      return shown <= before.line.waiting + 10 && shown >= later.line.waiting - 10;
    });
    const points = () => page.locator('.charts .curve-0').first().getAttribute('points').then((all) => (all ?? '').split(' ').length);
    const had = await until('a curve', async () => (await points()) > 2 && points());
    await until('the curve to grow', async () => (await points()) > had);
    // Going away and back loses nothing of what was seen.
    await go(page, '#/sale/crowd/tune');
    await page.waitForSelector('#policy-fraction');
    await go(page, '#/sale/crowd/live');
    await until('the curve from before', async () => (await points()) > had);
    await page.click('text=All of it');
    await page.waitForSelector('.chart-title:has-text("Orders so far")');
    await until('orders in the report', async () => /Orders so far: .*[1-9]/.test(await page.locator('.charts title').nth(1).textContent() ?? '')
      || (await page.locator('.charts .picture').nth(1).locator('polyline, circle').count()) > 0);
  } finally {
    await crowd.stop();
  }
  assert.deepEqual(heard, []);
  await context.close();
});

test('orders by state and stock add up to what the API tells', async () => {
  const { page, context } = await signIn(browser, house, { at: '#/sale/crowd' });
  await until('the page and the API to agree', async () => {
    const stats = await house.operator('GET', '/v1/sales/crowd/stats');
    const rows = await page.locator('section.card:has(> h2:text-is("Orders")) tbody tr').allInnerTexts();
    const shown = Object.fromEntries(rows.map((row) => row.split('\t')));
    const { ledger } = stats.skus[0];
    const stock = (await page.innerText('section.card:has(> h2:text-is("Stock")) tbody tr')).split('\t').slice(1).map(number);
    return number(shown.fulfilled ?? '-1') === stats.orders.fulfilled &&
      number(shown['awaiting payment'] ?? '-1') === stats.orders.awaiting_payment &&
      [ledger.total, ledger.available, ledger.held, ledger.sold].every((one, place) => one === stock[place]);
  });
  await context.close();
});

test('a lost connection is told with the age of the numbers, and so is its return', async () => {
  await house.sale('lost');
  const { page, context } = await signIn(browser, house, { at: '#/sale/lost' });
  await until('numbers', async () => (await tile(page, 'waiting'))[1] === '0');
  await house.kill();
  await page.waitForSelector('#alarm:has-text("Connection lost")');
  assert.equal(await page.evaluate(() => document.body.classList.contains('stale')), true);
  const age = async () => number(await page.innerText('#alarm .age'));
  const had = await age();
  await until('the numbers to grow older', async () => (await age()) > had);
  const grey = await page.locator('[data-tile=waiting] .number').evaluate((one) => getComputedStyle(one).opacity);
  assert.ok(Number(grey) < 0.6, `opacity ${grey}`);
  await house.start();
  await page.waitForSelector('#alarm', { state: 'hidden' });
  assert.equal(await page.evaluate(() => document.body.classList.contains('stale')), false);
  await context.close();
});

test('what somebody else does is seen without a reload', async () => {
  await house.sale('else');
  const { page, context } = await signIn(browser, house, { at: '#/sale/else' });
  await page.waitForSelector('[data-action=pause]');
  await house.operator('POST', '/v1/sales/else/pause');
  await page.waitForSelector('[data-action=resume]');
  assert.equal(await page.innerText('.sale-head .state'), 'paused');
  await house.operator('POST', '/v1/sales/else/close');
  await page.waitForSelector('[data-action=delete]');
  await house.operator('DELETE', '/v1/sales/else');
  await page.waitForSelector('text=This sale has been deleted.');
  await context.close();
});

test('all sales are seen at a glance, the open ones first', async () => {
  await house.sale('shut');
  await house.operator('POST', '/v1/sales/shut/close');
  const { page, context } = await signIn(browser, house);
  await page.waitForSelector('[data-sale=crowd]');
  const order = await page.locator('.sale-card').evaluateAll((cards) => cards.map((card) => /** @type {any} */ (card).dataset.sale));
  assert.ok(order.indexOf('crowd') < order.indexOf('shut'), String(order));
  await house.sale('new-one');
  await page.waitForSelector('[data-sale=new-one]');
  await page.click('[data-sale=new-one]');
  await page.waitForSelector('h1:has-text("Sale new-one")');
  await context.close();
});
