/**
 * Every state of the waiting page, as a preview on the admin address: on a phone and on a desk, in every language, light
 * and dark. Nothing sticks out, nobody is shut out (axe-core), nothing is complained of; and there is a picture of each.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SIZES, axe, complaints, shoot, startBrowser, startSluice } from './house.mjs';
import { STATES } from '../../pages/waiting/preview.js';

let house, browser;
before(async () => {
  house = await startSluice();
  await house.sale('drop', { title: 'Harbour Lights – Summer Concert' });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

/** Which ways each state is looked at: a phone by day in English, a desk by night in Chinese, and the odd ones. */
const WAYS = [
  { name: 'phone', viewport: SIZES.phone, colorScheme: 'light', lang: 'en' },
  { name: 'desktop-dark', viewport: SIZES.desktop, colorScheme: 'dark', lang: 'zh-CN' },
];
const ODD_WAYS = [
  { name: 'phone-dark', viewport: SIZES.phone, colorScheme: 'dark', lang: 'zh-CN' },
  { name: 'desktop', viewport: SIZES.desktop, colorScheme: 'light', lang: 'en' },
  { name: 'narrow', viewport: { width: 320, height: 568 }, colorScheme: 'light', lang: 'en' },
  { name: 'wall', viewport: { width: 3840, height: 2160 }, colorScheme: 'dark', lang: 'en' },
];
const ODD_STATES = ['before', 'join', 'join-seated', 'waiting', 'notice', 'reserved', 'reserved-seated', 'fulfilled', 'sold-out', 'offline'];

async function look({ name, viewport, colorScheme, lang }, state) {
  const context = await browser.newContext({ viewport, colorScheme, locale: lang });
  const page = await context.newPage();
  const heard = complaints(page);
  await page.goto(`${house.admin}/w/drop?preview=${state}&lang=${lang}`);
  await page.waitForSelector('body[data-ready]');
  assert.equal(await page.getAttribute('html', 'lang'), lang);
  await shoot(page, `waiting/${name}/${state}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${state} is ${wide} px too wide`);
  const text = await page.innerText('main');
  assert.ok(text.length > 10 && !/\b[a-z_]+\.[a-z_]+\b(?!\w)/.test(text.replace(/\S*\.example\S*/g, '')), `a key shows: ${text}`);
  assert.deepEqual(await axe(page), []);
  assert.deepEqual(heard, []);
  await context.close();
}

for (const way of WAYS) {
  describe(way.name, () => {
    for (const state of Object.keys(STATES)) test(state, () => look(way, state));
  });
}
for (const way of ODD_WAYS) {
  describe(way.name, () => {
    for (const state of ODD_STATES) test(state, () => look(way, state));
  });
}

test('a language that is written from right to left turns the page around', async () => {
  const context = await browser.newContext({ viewport: SIZES.phone });
  const page = await context.newPage();
  await page.goto(`${house.admin}/w/drop?preview=reserved&lang=en`);
  await page.waitForSelector('body[data-ready]');
  await page.evaluate(() => document.documentElement.setAttribute('dir', 'rtl'));
  await shoot(page, 'waiting/rtl/reserved');
  const [brand, languages] = await Promise.all(['.brand', '.languages'].map((one) => page.locator(one).boundingBox()));
  assert.ok(brand.x > languages.x, 'the bar did not turn');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0);
  await context.close();
});

test('a stretch reads from right to left where the language does', async () => {
  const context = await browser.newContext({ viewport: { width: 320, height: 568 } });
  const page = await context.newPage();
  for (const state of ['join-seated', 'reserved-seated']) {
    await page.goto(`${house.admin}/w/drop?preview=${state}&lang=en`);
    await page.waitForSelector('body[data-ready]');
    await page.evaluate(() => document.documentElement.setAttribute('dir', 'rtl'));
    await shoot(page, `waiting/rtl/${state}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), state);
    assert.deepEqual(await axe(page), []);
  }
  await context.close();
});

test('who asked for less motion gets none', async () => {
  const moving = async (reducedMotion) => {
    const context = await browser.newContext({ viewport: SIZES.phone, reducedMotion });
    const page = await context.newPage();
    await page.goto(`${house.admin}/w/drop?preview=called&lang=en`);
    await page.waitForSelector('body[data-ready]');
    const running = await page.evaluate(() => document.getAnimations().length);
    await context.close();
    return running;
  };
  assert.ok((await moving('no-preference')) > 0, 'nothing moves at all: the test proves nothing');
  assert.equal(await moving('reduce'), 0);
});

test('giving up is asked about first, and the keyboard can say no', async () => {
  const context = await browser.newContext({ viewport: SIZES.desktop });
  const page = await context.newPage();
  await page.goto(`${house.admin}/w/drop?preview=waiting&lang=en`);
  await page.waitForSelector('body[data-ready]');
  await page.getByRole('button', { name: 'Leave the line' }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Leave the line?' });
  await dialog.waitFor();
  await shoot(page, 'waiting/desktop/leave');
  assert.deepEqual(await axe(page), []);
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'No, stay');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await context.close();
});
