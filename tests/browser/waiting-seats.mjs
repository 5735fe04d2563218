/** Seats on a train, bought on the waiting page: from where to where, how many, and which seats it came to. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SIZES, axe, complaints, shoot, startBrowser, startSluice, until } from './house.mjs';

let house, browser;
before(async () => {
  house = await startSluice();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

const STOPS = ['Beijing South', 'Jinan West', 'Nanjing South', 'Shanghai Hongqiao'];
const SEATS = ['01A', '01B', '01C', '02A'];
const seated = (sku, more = {}) => ({ sku, seats: SEATS, stops: STOPS, amount_fen: 55_300, currency: 'CNY', ...more });
const train = (id, skus = [seated('second-class')]) => house.sale(id, { title: 'G1', skus });

async function visit(id, more = {}) {
  const context = await browser.newContext({ viewport: { width: 320, height: 640 }, locale: 'en', ...more });
  const page = await context.newPage();
  const heard = complaints(page);
  await page.goto(`${house.base}/w/${id}`);
  await scene(page, 'join');
  return { context, page, heard };
}

const scene = (page, name) => page.waitForSelector(`#scene[data-scene="${name}"]`, { timeout: 25_000 });
const joinButton = (page) => page.getByRole('button', { name: 'Join the line' });
const alert = (page) => page.locator('#wrong').innerText();
const fits = async (page) => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it sticks out');

test('a stretch is chosen by keyboard, mended when it runs backwards, and the seats are named', async () => {
  await train('keys');
  const { context, page, heard } = await visit('keys');
  await page.waitForSelector('body[data-ready]');
  const [from, to] = [page.getByLabel('From'), page.getByLabel('To')];
  assert.deepEqual([await from.inputValue(), await to.inputValue()], ['0', '3'], 'not the whole way at first');
  assert.deepEqual(await from.locator('option').allInnerTexts(), STOPS.slice(0, 3));
  assert.deepEqual(await to.locator('option').allInnerTexts(), STOPS.slice(1));
  assert.match(await page.innerText('form'), /Free seats from Beijing South to Shanghai Hongqiao: at most 4/);
  await from.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await to.selectOption('Jinan West');
  await until('what is to be mended', async () => (await alert(page)).includes('“To” must be a stop after Nanjing South'));
  await page.getByLabel('Passengers').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'to', 'the focus is not where it is to be mended');
  assert.equal(await to.getAttribute('aria-invalid'), 'true');
  assert.equal(await page.getAttribute('#scene', 'data-scene'), 'join');
  await shoot(page, 'waiting/seats/backwards');
  assert.deepEqual(await axe(page), []);
  await fits(page);
  await from.selectOption('Jinan West');
  await to.selectOption('Shanghai Hongqiao');
  assert.equal(await alert(page), '');
  await page.getByLabel('Passengers').fill('2');
  await shoot(page, 'waiting/seats/join');
  await page.keyboard.press('Enter');
  await scene(page, 'reserved');
  const order = page.getByRole('region', { name: 'Your order' });
  await until('the order', async () => (await order.innerText()).includes('2 × second-class'));
  assert.match(await order.innerText(), /Jinan West to Shanghai Hongqiao\s+Seats: 01A and 01B/);
  await shoot(page, 'waiting/seats/reserved');
  assert.deepEqual(await axe(page), []);
  await fits(page);
  assert.deepEqual(heard, []);
  // Whoever comes next hears what is left on the stretch, and on another.
  const next = await visit('keys');
  await until('fewer seats', async () => /at most 2/.test(await next.page.innerText('form')));
  await next.page.getByLabel('To').selectOption('Jinan West');
  assert.match(await next.page.innerText('form'), /Free seats from Beijing South to Jinan West: at most 4/);
  await context.close();
  await next.context.close();
});

test('in Chinese', async () => {
  await train('hanzi');
  const { context, page } = await visit('hanzi', { locale: 'zh-CN', viewport: SIZES.phone });
  await page.waitForSelector('body[data-ready]');
  await page.getByLabel('出发站').selectOption('Nanjing South');
  await page.getByLabel('到达站').selectOption('Nanjing South');
  assert.match(await alert(page), /“到达站”必须在Nanjing South之后/);
  await page.getByLabel('到达站').selectOption('Shanghai Hongqiao');
  await page.getByRole('button', { name: '加入队列' }).click();
  await scene(page, 'reserved');
  await until('the seat', async () => (await page.innerText('.order')).includes('座位：01A'));
  assert.match(await page.innerText('.order'), /Nanjing South至Shanghai Hongqiao/);
  await context.close();
});

test('without JavaScript: a stretch that runs backwards comes back, and the next one joins', async () => {
  await train('plain', [seated('second-class'), seated('first-class')]);
  const { context, page } = await visit('plain', { javaScriptEnabled: false });
  const [from, to] = [page.getByLabel('From'), page.getByLabel('To')];
  assert.deepEqual([await from.inputValue(), await to.inputValue()], ['0', '3']);
  await page.locator('summary', { hasText: 'Free seats between stops' }).click();
  assert.equal(await page.getByRole('row', { name: 'Jinan West to Nanjing South' }).innerText(), 'Jinan West to Nanjing South\t4\t4');
  await shoot(page, 'waiting/seats/plain');
  await fits(page);
  await page.getByLabel('first-class').check();
  await page.getByLabel('Passengers').fill('2');
  await from.selectOption('Nanjing South');
  await to.selectOption('Jinan West');
  await joinButton(page).click();
  await scene(page, 'join');
  assert.match(await alert(page), /“To” must be a stop after Nanjing South/);
  assert.equal(await page.getByLabel('Passengers').inputValue(), '2');
  assert.ok(await page.getByLabel('first-class').isChecked());
  await shoot(page, 'waiting/seats/plain-backwards');
  await to.selectOption('Shanghai Hongqiao');
  await joinButton(page).click();
  await until('the turn', async () => {
    await page.goto(`${house.base}/w/plain`);
    return (await page.getAttribute('#scene', 'data-scene')) === 'reserved';
  });
  const asked = async () => (await fetch(`${house.base}/v1/sales/plain`)).json();
  const free = async () => JSON.stringify((await asked()).skus.map((sku) => sku.free_seats));
  await until('two seats less on one stretch', async () => (await free()) === '[[4,4,4],[4,4,2]]');
  await context.close();
});

test('goods of both kinds, and of other stops, in one sale', async () => {
  const lunch = { sku: 'lunch', stock: 5, amount_fen: 4_500, currency: 'CNY' };
  await train('both', [lunch, seated('second-class'), seated('coach', { stops: ['Ayton', 'Dunbar'] })]);
  const { context, page, heard } = await visit('both', { viewport: SIZES.desktop });
  await page.waitForSelector('body[data-ready]');
  assert.equal(await page.getByLabel('From').count(), 1);
  assert.ok(await page.getByLabel('How many?').isVisible() && !(await page.getByLabel('From').isVisible()));
  await page.getByLabel('second-class').check();
  await page.getByLabel('From').selectOption('Jinan West');
  await page.getByLabel('coach').check();
  assert.deepEqual(await page.locator('[name=to] option').allInnerTexts(), ['Dunbar']);
  assert.deepEqual(await axe(page), []);
  await page.getByLabel('lunch').check();
  await joinButton(page).click();
  await scene(page, 'reserved');
  await until('the order', async () => (await page.innerText('.order')).includes('1 × lunch'));
  assert.deepEqual(heard, []);
  await context.close();

  const plain = await visit('both', { javaScriptEnabled: false });
  assert.equal(await plain.page.getByLabel('From').count(), 2);
  await plain.page.locator('form', { has: plain.page.getByLabel('lunch') }).getByRole('button').click();
  assert.notEqual(await plain.page.getAttribute('#scene', 'data-scene'), 'join', 'counted goods were asked for a stretch');
  await plain.context.close();
});
