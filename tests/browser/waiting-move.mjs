/**
 * A place goes to another device: two browsers that know nothing of each other, a link in between, and one place all along.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SIZES, axe, complaints, shoot, startBrowser, startSluice } from './house.mjs';

let house, browser;
before(async () => {
  house = await startSluice();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

const scene = (page, name) => page.waitForSelector(`#scene[data-scene="${name}"]`, { timeout: 25_000 });
const number = async (page) => Number((await page.innerText('.big')).replaceAll(',', ''));
const press = (page, name) => page.getByRole('button', { name }).click();

/** A device of its own. */
async function device(more = {}) {
  const context = await browser.newContext({ viewport: SIZES.phone, locale: 'en', ...more });
  const page = await context.newPage();
  return { context, page, heard: complaints(page) };
}

/** A line that stands, and somebody in it at a desk. */
async function waiting(id, more = {}) {
  await house.sale(id, { title: 'Harbour Lights', policy: { multiplier: 0 } });
  await house.crowd(id, 4);
  const desk = await device({ viewport: SIZES.desktop, ...more });
  await desk.page.goto(`${house.base}/w/${id}`);
  await desk.page.locator('button.main').click();
  await scene(desk.page, 'waiting');
  return desk;
}

/** The link for another device, as the dialog shows it. */
async function link(page) {
  await press(page, 'Keep my place on another device');
  const dialog = page.getByRole('dialog', { name: 'Take your place with you' });
  const field = dialog.getByRole('textbox', { name: 'Link for the other device' });
  await field.waitFor();
  return { dialog, href: await field.inputValue() };
}

test('a place goes to another device by a link, once', async () => {
  const desk = await waiting('once');
  const before = await number(desk.page);
  const { dialog, href } = await link(desk.page);
  assert.match(href, new RegExp(`^${house.base}/w/once#move=[\\w-]+$`));
  const picture = dialog.getByRole('img', { name: 'The link as a QR code' });
  assert.ok(await picture.evaluate((image) => image.complete && image.naturalWidth > 0), 'the code is not shown');
  assert.deepEqual(await axe(desk.page), []);
  await shoot(desk.page, 'waiting/move/give');

  // Whoever looks at links before people do opens it, and touches nothing.
  const bot = await device();
  await bot.page.goto(href);
  await bot.page.getByRole('dialog', { name: 'Bring your place to this device?' }).waitFor();
  await bot.context.close();

  const phone = await device();
  await phone.page.goto(href);
  const question = phone.page.getByRole('dialog', { name: 'Bring your place to this device?' });
  await question.waitFor();
  assert.equal(phone.page.url(), `${house.base}/w/once`, 'the ticket is out of the address');
  assert.deepEqual(await axe(phone.page), []);
  await shoot(phone.page, 'waiting/move/take');
  await question.getByRole('button', { name: 'Bring it here' }).click();
  await scene(phone.page, 'waiting');
  assert.equal(await number(phone.page), before);
  await phone.page.waitForSelector('#connection[data-state="live"]');
  await shoot(phone.page, 'waiting/move/taken');

  await scene(desk.page, 'moved');
  assert.equal(await desk.page.innerText('h1'), 'This place is on another device now');
  assert.equal(await desk.page.locator('dialog').count(), 0, 'the link is of no use any more');
  assert.deepEqual(await axe(desk.page), []);
  await shoot(desk.page, 'waiting/move/moved');

  const late = await device();
  await late.page.goto(href);
  await press(late.page, 'Bring it here');
  await late.page.getByText('This link was used already.').waitFor();
  await late.page.getByRole('button', { name: 'Join the line' }).waitFor();
  assert.deepEqual(await axe(late.page), []);

  // It is kept there, as a place is.
  await phone.page.reload();
  await scene(phone.page, 'waiting');
  assert.equal(await number(phone.page), before);
  for (const { context, heard } of [desk, phone, late]) {
    assert.deepEqual(heard, []);
    await context.close();
  }
});

test('who joins again at the desk has the place back, and the phone says so', async () => {
  const desk = await waiting('back');
  const before = await number(desk.page);
  const { href } = await link(desk.page);
  const phone = await device();
  await phone.page.goto(href);
  await press(phone.page, 'Bring it here');
  await scene(phone.page, 'waiting');
  await scene(desk.page, 'moved');
  await press(desk.page, 'Join again');
  await press(desk.page, 'Join the line');
  await scene(desk.page, 'waiting');
  assert.equal(await number(desk.page), before);
  await scene(phone.page, 'moved');
  for (const { context, heard } of [desk, phone]) {
    assert.deepEqual(heard, []);
    await context.close();
  }
});

test('a closed page says it when it is opened again, in Chinese too', async () => {
  const desk = await waiting('closed', { locale: 'zh-CN' });
  await press(desk.page, '在另一台设备上保留排位');
  const href = await desk.page.getByRole('textbox', { name: '给另一台设备的链接' }).inputValue();
  await desk.page.goto('about:blank');
  const phone = await device({ locale: 'zh-CN' });
  await phone.page.goto(href);
  await press(phone.page, '带到这里');
  await scene(phone.page, 'waiting');
  await desk.page.goto(`${house.base}/w/closed`);
  await scene(desk.page, 'moved');
  assert.equal(await desk.page.innerText('h1'), '此排位现在在另一台设备上');
  // And then it is a page like any other.
  await desk.page.reload();
  await scene(desk.page, 'join');
  await desk.context.close();
  await phone.context.close();
});

test('a device with a place of its own is asked first, and may keep it', async () => {
  const desk = await waiting('two');
  const phone = await device();
  await phone.page.goto(`${house.base}/w/two`);
  await press(phone.page, 'Join the line');
  await scene(phone.page, 'waiting');
  const own = await number(phone.page);
  const { href } = await link(desk.page);
  // The same page with another fragment: a browser does not load it anew.
  await phone.page.goto(href);
  const question = phone.page.getByRole('dialog', { name: 'Bring your place to this device?' });
  await question.getByText('would be forgotten here').waitFor();
  await question.getByRole('button', { name: 'Not now' }).click();
  await question.waitFor({ state: 'detached' });
  assert.equal(await number(phone.page), own);
  assert.equal(await number(desk.page), own - 1, 'nothing was moved');
  await desk.context.close();
  await phone.context.close();
});
