/** Every screen in both themes, both languages and two sizes: axe-core finds nothing, nothing sticks out, and a picture is kept. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bury, go, signIn, startHouse, swarm } from './console-house.mjs';
import { axe, shoot, startBrowser, until } from './house.mjs';

/** @type {import('./console-house.mjs').House} */
let house;
/** @type {import('./console-house.mjs').Browser} */
let browser;
/** @type {ReturnType<typeof swarm>} */
let crowd;
before(async () => {
  house = await startHouse();
  browser = await startBrowser();
  await house.sale('drop', {
    title: 'Midnight drop', policy: { tail_per_second: 6 },
    skus: [{ sku: 'standard', stock: 1_500, amount_fen: 9900, currency: 'CNY' }, { sku: 'deluxe', stock: 300, amount_fen: 29900, currency: 'CNY' }],
  });
  await house.sale('soon', { title: '春季限量', opens_at: '2031-03-01T12:00:00Z' });
  await house.operator('POST', '/v1/sales/drop/notice', { text: { en: 'We are going on in five minutes.', zh: '五分钟后继续。' } });
  await house.operator('POST', '/v1/bans', { cidr: '198.51.100.0/24', reason: 'a farm of bots' });
  await bury(house, 'soon', ['the ledger refused the hold']);
  crowd = swarm(house, 'drop', 2_500, '20s', ['--push', '0.4', '--pay', '0.9']);
  await until('orders', async () => (await house.operator('GET', '/v1/sales/drop/stats')).orders.fulfilled > 20, 60);
});
after(async () => {
  await browser?.close();
  await crowd?.stop();
  await house?.stop();
});

const SCREENS = {
  sales: '#/', live: '#/sale/drop/live', tune: '#/sale/drop/tune', notice: '#/sale/drop/notice', stock: '#/sale/drop/stock',
  checklist: '#/sale/soon/checklist', report: '#/sale/drop/report', create: '#/new', letters: '#/letters', books: '#/books', bans: '#/bans', audit: '#/audit',
};

const LOOKS = [
  { name: 'desktop-light-en', width: 1280, height: 900, colorScheme: 'light', locale: 'en-GB' },
  { name: 'phone-dark-en', width: 390, height: 844, colorScheme: 'dark', locale: 'en-GB' },
  { name: 'phone-light-zh', width: 390, height: 844, colorScheme: 'light', locale: 'zh-CN' },
  { name: 'wall-dark-zh', width: 2560, height: 1440, colorScheme: 'dark', locale: 'zh-CN' },
];

for (const { name, ...how } of LOOKS) {
  test(`every screen is sound: ${name}`, async () => {
    const { page, context, heard } = await signIn(browser, house, /** @type {any} */ (how));
    for (const [screen, hash] of Object.entries(SCREENS)) {
      await go(page, hash);
      await until(`${screen} to be there`, async () => (await page.locator('main h1').count()) > 0 && !/Loading …|正在加载/.test(await page.innerText('main')));
      if (screen === 'live') await until('some seconds of curves', async () => ((await page.locator('.curve-0').first().getAttribute('points')) ?? '').split(' ').length > 3);
      if (screen === 'tune') await page.waitForSelector('.effect-table');
      await shoot(page, `console/${name}-${screen}`);
      assert.deepEqual(await axe(page), [], `${screen}, ${name}`);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= room, `${screen}, ${name}: ${wide} px wide in ${room}`);
    }
    assert.deepEqual(heard, []);
    await context.close();
  });
}

test('the door and a dialog are sound', async () => {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const { page, context } = await signIn(browser, house, { width: 390, height: 844, colorScheme, at: '#/sale/drop' });
    await page.click('[data-action=close]');
    await page.waitForSelector('dialog[open]');
    await shoot(page, `console/dialog-${colorScheme}`);
    assert.deepEqual(await axe(page), [], `the dialog, ${colorScheme}`);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.click('.who button');
    await page.waitForSelector('#token');
    await shoot(page, `console/door-${colorScheme}`);
    assert.deepEqual(await axe(page), [], `the door, ${colorScheme}`);
    await context.close();
  }
});

test('it works without a mouse, and at 320 pixels', async () => {
  const { page, context } = await signIn(browser, house, { width: 320, height: 640 });
  await page.waitForSelector('.sale-card');
  await page.keyboard.press('Tab');
  for (let step = 0; step < 40 && (await page.evaluate(() => !document.activeElement?.matches('.sale-card[data-sale=drop]'))); step += 1) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.waitForSelector('[data-action=pause]');
  await page.focus('[data-action=pause]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] textarea:focus');
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('data-action')), 'pause', 'the focus comes back');
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= room, `${wide} px wide in ${room}`);
  await context.close();
});
