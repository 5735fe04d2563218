/**
 * The waiting page as buyers use it, on the way to their goods and through everything that browsers and networks do. The
 * place is kept, and the position never rises.
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

const standing = async (id, ahead = 5, more = {}) => {
  await house.sale(id, { title: 'Harbour Lights', policy: { multiplier: 0 }, ...more });
  await house.crowd(id, ahead);
};
const goOn = (id) => house.operator('PATCH', `/v1/sales/${id}/policy`, { multiplier: 1 });

async function visit(base, id, more = {}) {
  const context = more.context ?? (await browser.newContext({ viewport: SIZES.phone, locale: 'en', ...more }));
  const page = await context.newPage();
  const heard = complaints(page);
  // Every position that was ever on the screen.
  await page.addInitScript(() => {
    globalThis.positions = [];
    const look = () => {
      const scene = document.querySelector('#scene')?.dataset.scene;
      const number = Number(document.querySelector('.big')?.textContent?.replaceAll(',', ''));
      if (scene === 'waiting' && number && positions.at(-1) !== number) positions.push(number);
    };
    new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
  });
  await page.goto(`${base}/w/${id}`);
  return { context, page, heard };
}

const join = (page) => page.getByRole('button', { name: 'Join the line' }).click();
const scene = (page, name, timeout = 25_000) => page.waitForSelector(`#scene[data-scene="${name}"]`, { timeout });
const shown = async (page) => Number((await page.innerText('.big')).replaceAll(',', ''));
const state = (page, name, timeout = 25_000) => page.waitForSelector(`#connection[data-state="${name}"]`, { timeout });

async function neverRose(page) {
  const positions = await page.evaluate(() => globalThis.positions);
  assert.deepEqual(positions, [...positions].sort((a, b) => b - a), 'a position rose');
  return positions;
}

test('from the first look to the goods', async () => {
  await standing('whole');
  const { context, page, heard } = await visit(house.base, 'whole');
  await scene(page, 'join');
  assert.deepEqual(await axe(page), []);
  await join(page);
  await scene(page, 'waiting');
  await state(page, 'live');
  assert.equal(await shown(page), 6);
  assert.equal(await page.title(), '6 – Harbour Lights');
  await shoot(page, 'waiting/real/waiting');
  await house.operator('POST', '/v1/sales/whole/notice', { text: { en: '<b>Soon</b>', zh: '很快' } });
  await until('the notice', async () => (await page.innerText('#notice-text')) === '<b>Soon</b>');
  await goOn('whole');
  await scene(page, 'reserved');
  await neverRose(page);
  assert.equal(await page.title(), 'Your turn! – Harbour Lights');
  await page.getByRole('button', { name: /^Pay .*99\.00/ }).waitFor();
  await shoot(page, 'waiting/real/reserved');
  await page.getByRole('button', { name: /^Pay .*99\.00/ }).click();
  await page.waitForURL(/\/v1\/payments\/simulated\//);
  await page.getByRole('button', { name: /^Pay / }).click();
  await page.waitForSelector('text=This payment succeeded.');
  await page.getByRole('link', { name: 'Back to your place' }).click();
  await scene(page, 'fulfilled');
  await shoot(page, 'waiting/real/fulfilled');
  assert.deepEqual(await axe(page), []);
  assert.deepEqual(heard, []);
  await context.close();
});

test('refreshed, closed and opened again, in two tabs: one place', async () => {
  await standing('tabs');
  const { context, page, heard } = await visit(house.base, 'tabs');
  await join(page);
  await scene(page, 'waiting');
  await page.reload();
  await scene(page, 'waiting');
  assert.equal(await shown(page), 6);
  const other = await visit(house.base, 'tabs', { context });
  await scene(other.page, 'waiting');
  assert.equal(await shown(other.page), 6);
  await page.close();
  await other.page.close();
  const again = await visit(house.base, 'tabs', { context });
  await scene(again.page, 'waiting');
  assert.equal(await shown(again.page), 6);
  assert.equal((await (await fetch(`${house.base}/v1/sales/tabs`)).json()).waiting, 6, 'another place was made');
  // What the page keeps for itself may be lost: the cookie still finds it.
  await again.page.evaluate(() => localStorage.clear());
  await again.page.reload();
  await scene(again.page, 'waiting');
  assert.equal(await shown(again.page), 6);
  const third = await visit(house.base, 'tabs', { context });
  await scene(third.page, 'waiting');
  await third.page.getByRole('button', { name: 'Leave the line' }).click();
  await third.page.getByRole('button', { name: 'Yes, leave' }).click();
  await scene(third.page, 'left');
  await scene(again.page, 'left');
  assert.deepEqual([...heard, ...other.heard, ...again.heard, ...third.heard], []);
  await context.close();
});

test('who joins in one tab stands in line in the other', async () => {
  await standing('twin');
  const { context, page } = await visit(house.base, 'twin');
  const other = await visit(house.base, 'twin', { context });
  await scene(other.page, 'join');
  await join(page);
  await scene(other.page, 'waiting');
  assert.equal(await shown(other.page), 6);
  await context.close();
});

test('the network goes and comes back', async () => {
  await standing('network');
  const { context, page } = await visit(house.base, 'network');
  await join(page);
  await state(page, 'live');
  await context.setOffline(true);
  await state(page, 'offline');
  assert.equal(await shown(page), 6);
  await shoot(page, 'waiting/real/offline');
  assert.deepEqual(await axe(page), []);
  await context.setOffline(false);
  await state(page, 'live');
  assert.equal(await shown(page), 6);
  await goOn('network');
  await scene(page, 'reserved');
  await neverRose(page);
  await context.close();
});

test('the server is restarted', async () => {
  await standing('restart');
  const { context, page } = await visit(house.base, 'restart');
  await join(page);
  await state(page, 'live');
  await house.restart();
  await until('a reconnect', async () => house.log.length > 0 && (await page.getAttribute('#connection', 'data-state')) === 'live');
  assert.equal(await shown(page), 6);
  await goOn('restart');
  await scene(page, 'reserved');
  await neverRose(page);
  await context.close();
});

test('WebSockets are blocked: events; events too: polling', async () => {
  await standing('blocked');
  const proxy = await startProxy(house.base);
  proxy.blockSocket = true;
  const { context, page } = await visit(proxy.base, 'blocked');
  await join(page);
  await state(page, 'live');
  assert.ok(proxy.asked.some((asked) => asked.includes('/events?ticket=')));
  proxy.blockEvents = true;
  proxy.cut();
  await state(page, 'polling', 40_000);
  assert.equal(await shown(page), 6);
  assert.ok(proxy.asked.some((asked) => /GET .*\/entries\/[^ ]*[?&]seen=\d+/.test(asked)));
  await goOn('blocked');
  await scene(page, 'reserved');
  await neverRose(page);
  await context.close();
  await proxy.stop();
});

test('before it opens there is a countdown, and then the page joins by itself', async () => {
  const opensAt = new Date(Date.now() + 6_000).toISOString();
  await house.sale('early', { title: 'Harbour Lights', opens_at: opensAt, policy: { multiplier: 0 } });
  const { context, page } = await visit(house.base, 'early');
  await scene(page, 'before');
  assert.match(await page.innerText('.big'), /^0:0\d$/);
  await shoot(page, 'waiting/real/before');
  await scene(page, 'waiting');
  await context.close();
});

test('an order that is given back is closed, and a sale that is closed says so', async () => {
  await house.sale('back', { title: 'Harbour Lights' });
  const { context, page } = await visit(house.base, 'back');
  await join(page);
  await scene(page, 'reserved');
  await page.getByRole('button', { name: 'I do not want it any more' }).click();
  await page.getByRole('button', { name: 'Yes, give it back' }).click();
  await scene(page, 'cancelled');
  await house.operator('POST', '/v1/sales/back/close', {});
  const late = await visit(house.base, 'back', { locale: 'zh-CN' });
  await scene(late.page, 'closed_sale');
  assert.equal(await late.page.innerText('h1'), '销售已结束');
  await context.close();
});

test('a language is chosen and remembered, and the place with it', async () => {
  await standing('tongues');
  const { context, page } = await visit(house.base, 'tongues');
  await join(page);
  await scene(page, 'waiting');
  await page.locator('.languages summary').click();
  await page.getByRole('link', { name: '简体中文' }).click();
  await scene(page, 'waiting');
  await until('Chinese', async () => (await page.innerText('h1')) === '您的排位');
  assert.equal(await shown(page), 6);
  await page.goto(`${house.base}/w/tongues`);
  await until('Chinese again', async () => (await page.innerText('h1')) === '您的排位');
  await context.close();
});

test('without JavaScript: join, wait, be called, pay; leave', async () => {
  await standing('plain');
  const { context, page } = await visit(house.base, 'plain', { javaScriptEnabled: false });
  await page.getByRole('button', { name: 'Join the line' }).click();
  await scene(page, 'waiting');
  assert.equal(await shown(page), 6);
  await shoot(page, 'waiting/plain/waiting');
  assert.match(await page.locator('noscript meta, meta[http-equiv]').getAttribute('content'), /^20;url=\/w\/plain\?seen=\d+$/);
  await page.reload();
  assert.equal(await shown(page), 6);
  await goOn('plain');
  await until('the turn', async () => {
    await page.goto(`${house.base}/w/plain`);
    return (await page.getAttribute('#scene', 'data-scene')) === 'reserved';
  });
  await shoot(page, 'waiting/plain/reserved');
  await page.getByRole('button', { name: /^Pay / }).click();
  await page.waitForURL(/\/v1\/payments\/simulated\//);
  await page.locator('button[value="succeed"]').click();
  await until('the order', async () => {
    await page.goto(`${house.base}/w/plain`);
    return (await page.getAttribute('#scene', 'data-scene')) === 'fulfilled';
  });
  assert.equal(await page.getByRole('button', { name: /^Pay / }).count(), 0);
  await shoot(page, 'waiting/plain/fulfilled');
  await context.close();

  await standing('gone', 2);
  const leaver = await visit(house.base, 'gone', { javaScriptEnabled: false });
  await leaver.page.getByRole('button', { name: 'Join the line' }).click();
  await scene(leaver.page, 'waiting');
  await leaver.page.locator('details:has(form) summary').click();
  await leaver.page.getByRole('button', { name: 'Yes, leave' }).click();
  await scene(leaver.page, 'left');
  await leaver.context.close();
});

test('the waiting page weighs less than 25 KB on the wire', async () => {
  await house.sale('light', { title: 'Harbour Lights' });
  const context = await browser.newContext({ viewport: SIZES.phone, locale: "zh-CN" });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const loaded = new Map();
  session.on('Network.responseReceived', ({ requestId, response }) => loaded.set(requestId, { url: response.url, bytes: 0 }));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const one = loaded.get(requestId);
    if (one) one.bytes = encodedDataLength;
  });
  await page.goto(`${house.base}/w/light`);
  await scene(page, 'join');
  await page.waitForLoadState('networkidle');
  const own = [...loaded.values()].filter(({ url }) => new URL(url).pathname.startsWith('/w/'));
  const sum = own.reduce((total, { bytes }) => total + bytes, 0);
  // With the headers of every answer; Chromium counts what came over the connection.
  assert.ok(own.length >= 4 && sum > 5_000, JSON.stringify(own));
  assert.ok(sum < 25_000, `${sum} bytes: ${JSON.stringify(own)}`);
  await context.close();
});
