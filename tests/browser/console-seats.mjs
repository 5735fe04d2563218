/** Seated goods of a new sale: how seats and stops are typed, what is said of them before, and what is made. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { go, signIn, startHouse } from './console-house.mjs';
import { axe, shoot, startBrowser, until } from './house.mjs';

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

const MODULE = new URL('../../operator/console/parts/seats.js', import.meta.url);

test('labels and ranges are read as people mean them', async () => {
  const { readSeats, readStops } = await import(`data:text/javascript,${encodeURIComponent(await readFile(MODULE, 'utf8'))}`);
  for (const [text, labels] of [
    ['01A-01F', '01A 01B 01C 01D 01E 01F'],
    ['01A-C, 02A', '01A 01B 01C 02A'],
    ['09A-11B', '09A 09B 10A 10B 11A 11B'],
    ['1-3;\n8-10', '1 2 3 8 9 10'],
    ['01-02ABF', '01A 01B 01F 02A 02B 02F'],
    ['K1-K3、L7', 'K1 K2 K3 L7'],
    ['K1-3', 'K1 K2 K3'],
    ['box-left A-12 1-2-3', 'box-left A-12 1-2-3'],
    [' 01A ,, 01B\n', '01A 01B'],
    ['', ''],
  ]) {
    assert.deepEqual(readSeats(text), { seats: labels.split(' ').filter((one) => one !== ''), wrong: null }, text);
  }
  for (const wrong of ['02A-01F', '01F-01A', '01A-05', 'K1-L3', '01a-01F', '16-01ABC']) {
    assert.equal(readSeats(`01A, ${wrong}, 03A`).wrong, wrong);
  }
  const many = readSeats('1A-999999Z');
  assert.equal(many.seats.length, 5_001, 'one more than there may be, so that the API says no');
  assert.deepEqual(readStops('Beijing South\n Jinan West , 上海虹桥；'), ['Beijing South', 'Jinan West', '上海虹桥']);
});

test('a train is made beside counted goods, and is what was foretold', async () => {
  const { page, context, heard } = await signIn(browser, house, { at: '#/new' });
  await page.fill('#sale-id', 'g1');
  const [seated, counted] = [page.locator('.sku-row').nth(0), page.locator('.sku-row').nth(1)];
  await seated.locator('[data-part=sku]').fill('second-class');
  await seated.locator('[data-part=kind]').selectOption('seated');
  assert.equal(await seated.locator('[data-part=stock]').isVisible(), false);
  await seated.locator('[data-part=seats]').fill('02F-02A');
  assert.match(await seated.locator('.foretold').innerText(), /02F-02A is no range/);
  await seated.locator('[data-part=seats]').fill('01A-02F\n03-12ABCDF');
  await seated.locator('[data-part=stops]').fill('Beijing South\nJinan West\nShanghai Hongqiao');
  await seated.locator('[data-part=amount_fen]').fill('553');
  const said = await seated.locator('.foretold').innerText();
  assert.match(said, /Seats: 62 \(01A, 01B, .* … 12F\)\. Legs: 2 \(Beijing South → Jinan West → Shanghai Hongqiao\)\. Price: .*553\.00\./);
  await page.click('text=Add another SKU');
  await counted.locator('[data-part=sku]').fill('lunch');
  await counted.locator('[data-part=stock]').fill('40');
  await counted.locator('[data-part=amount_fen]').fill('45');
  await shoot(page, 'console/create-seated');
  assert.deepEqual(await axe(page), []);
  await page.click('text=Make the sale');
  await page.waitForSelector('.checks li');
  const { skus } = await house.operator('GET', '/v1/sales/g1');
  const [train, lunch] = skus;
  assert.equal(train.seats.length, 62);
  assert.deepEqual([train.seats[0], train.seats[5], train.seats[6], train.seats[61]], ['01A', '01F', '02A', '12F']);
  assert.deepEqual(train.stops, ['Beijing South', 'Jinan West', 'Shanghai Hongqiao']);
  assert.deepEqual([train.amount_fen, train.currency, lunch.stock, lunch.amount_fen], [55_300, 'CNY', 40, 4_500]);
  await go(page, '#/sale/g1/stock');
  await page.waitForSelector('text=62 seats on 2 legs');
  assert.deepEqual(heard, []);
  await context.close();
});

test('what the API refuses of seats and stops is shown where it was typed', async () => {
  const { page, context } = await signIn(browser, house, { at: '#/new', locale: 'zh-CN' });
  await page.fill('#sale-id', 'odd');
  await page.fill('[data-part=sku]', 'counted');
  await page.fill('[data-part=stock]', '1');
  await page.fill('[data-part=amount_fen]', '1');
  await page.click('text=再加一个 SKU');
  const row = page.locator('.sku-row').nth(1);
  await row.locator('[data-part=sku]').fill('second');
  await row.locator('[data-part=kind]').selectOption('seated');
  await row.locator('[data-part=amount_fen]').fill('553');
  const [seats, stops] = [row.locator('[data-part=seats]'), row.locator('[data-part=stops]')];
  const refused = async (where, what) => {
    await page.click('text=创建售卖');
    await page.waitForSelector(`.trouble:has-text("${what}")`);
    await until('the mark', async () => (await where.getAttribute('aria-invalid')) === 'true');
    assert.ok(await where.evaluate((one) => one === document.activeElement), 'it is gone to');
    assert.equal(await page.locator('[aria-invalid]').count(), 1);
  };
  await seats.fill('01A-01C');
  await stops.fill('北京南');
  await refused(stops, 'must name 2 to 65 stops');
  await stops.fill('北京南、上海虹桥');
  assert.match(await row.locator('.foretold').innerText(), /座位：3 个（01A, 01B, 01C）。 区段：1 个（北京南 → 上海虹桥）。/);
  await seats.fill('');
  await refused(seats, 'must name 1 to 5000 seats');
  await seats.fill('01A-01C, 01B');
  await refused(seats, 'comes twice');
  await seats.fill('01A-01C, a-seat-with-far-too-long-a-label');
  await refused(seats, '1 to 16');
  await seats.fill('01C-01A');
  await refused(seats, '01C-01A 不是范围');
  assert.equal((await house.operator('GET', '/v1/sales')).sales.some(({ id }) => id === 'odd'), false);
  await seats.fill('01A-01C');
  await page.click('text=创建售卖');
  await page.waitForSelector('.checks li');
  assert.deepEqual((await house.operator('GET', '/v1/sales/odd')).skus[1].seats, ['01A', '01B', '01C']);
  await context.close();
});
