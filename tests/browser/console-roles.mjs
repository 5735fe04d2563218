/** Who may come in and what they see: roles, tokens, both languages, and that nothing a person wrote becomes markup. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { go, signIn, startHouse, tokenOf } from './console-house.mjs';
import { startBrowser, until } from './house.mjs';

/** @type {import('./console-house.mjs').House} */
let house;
/** @type {import('./console-house.mjs').Browser} */
let browser;
before(async () => {
  house = await startHouse('[[sale]]\nid = "gone"\nskus = [{ sku = "standard", stock = 1, amount_fen = 1, currency = "CNY" }]\n');
  browser = await startBrowser();
  await house.sale('drop');
  await house.operator('POST', '/v1/sales/gone/close');
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

const SCREENS = ['#/', '#/sale/drop/live', '#/sale/drop/tune', '#/sale/drop/notice', '#/sale/drop/stock', '#/sale/drop/checklist',
  '#/sale/drop/report', '#/sale/gone/live', '#/new', '#/letters', '#/books', '#/bans', '#/audit'];

/** Buttons and forms by which something would be changed. */
const DOES = '[data-action=pause], [data-action=resume], [data-action=close], [data-action=freeze], [data-action=delete], [data-action=take-down], '
  + '[data-action=replay], [data-action=refuse], [data-action=run], [data-action=lift], main form button[type=submit], a[href="#/new"]';

/** What a holder of `role` finds on every screen, by name. */
async function finds(role) {
  const { page, context, heard } = await signIn(browser, house, { role });
  const found = new Set();
  for (const screen of SCREENS) {
    await go(page, screen);
    await page.waitForLoadState('networkidle').catch(() => {});
    await until(`${screen} to be there`, async () => (await page.locator('main section').count()) > 0 && !(await page.innerText('main')).includes('Loading …'));
    for (const name of await page.locator(DOES).evaluateAll((all) => all.map((one) => one.getAttribute('data-action') ?? one.textContent ?? ''))) {
      found.add(name);
    }
  }
  assert.deepEqual(heard, []);
  await context.close();
  return found;
}

test('a viewer sees everything and can press nothing', async () => {
  assert.deepEqual([...(await finds('viewer'))], []);
});

test('an operator tunes and steers, and sees nothing of what is the admin’s', async () => {
  const found = await finds('operator');
  for (const name of ['pause', 'close', 'take-down', 'run', 'Apply', 'Tell everybody', 'Add stock', 'Make the sale', 'New sale']) {
    assert.ok(found.has(name), `${name}: ${[...found]}`);
  }
  for (const name of ['freeze', 'delete', 'Ban', 'lift']) assert.ok(!found.has(name), name);
});

test('an admin sees the rest', async () => {
  const found = await finds('admin');
  for (const name of ['pause', 'freeze', 'delete', 'Ban', 'Apply']) assert.ok(found.has(name), `${name}: ${[...found]}`);
});

test('a wrong token is told so, and a right one is kept in this tab alone', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(house.admin);
  await page.fill('#token', 'not-the-token-but-as-long-as-one-is');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.trouble:has-text("not one of")');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'a wrong token is not kept');
  await page.fill('#token', `  ${tokenOf('viewer')}\n`);
  await page.click('button[type=submit]');
  await page.waitForSelector('#bar nav');
  assert.match(await page.innerText('#bar'), /viewer/);
  await page.reload();
  await page.waitForSelector('#bar nav');
  assert.ok(asked.every((url) => !url.includes('token-that')), 'a token was in an address');
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie)).includes('token-that'));
  const other = await context.newPage();
  await other.goto(house.admin);
  await other.waitForSelector('#token');
  await page.click('text=Sign out');
  await page.waitForSelector('#token');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await context.close();
});

test('a token that is taken away ends the session at the next request', async () => {
  const { page, context } = await signIn(browser, house);
  await page.route('**/v1/**', (route) => route.continue({ headers: { ...route.request().headers(), authorization: 'Bearer no' } }));
  await page.waitForSelector('#token');
  await page.waitForSelector('.trouble:has-text("not one of")');
  await context.close();
});

test('the page says in Chinese all that it says in English', async () => {
  const { page, context, heard } = await signIn(browser, house, { locale: 'zh-CN' });
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN');
  // What is not a word of ours: names, ids, units, and what the API itself said.
  const ours = /\b(the|and|is|of|this|sale|sales|order|line|stock|nothing|none|now|cancel|apply)\b/i;
  for (const screen of SCREENS) {
    await go(page, screen);
    await until(`${screen} to be there`, async () => !(await page.innerText('main')).includes('正在加载'));
    const words = (await page.innerText('body')).replaceAll(/Sale drop|sluice swarm|English/g, '');
    assert.doesNotMatch(words, ours, screen);
  }
  await page.selectOption('.language', 'en');
  await page.waitForSelector('nav >> text=Dead letters');
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
  await page.reload();
  await page.waitForSelector('nav >> text=Dead letters');
  assert.deepEqual(heard, []);
  await context.close();
});

test('what a person wrote is text and stays text', async () => {
  const evil = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  await house.sale('evil', { title: evil });
  await house.operator('POST', '/v1/sales/evil/notice', { text: { en: evil, zh: evil }, reason: evil });
  await house.operator('POST', '/v1/bans', { buyer: 'x<b>x', reason: evil }).catch(() => {});
  const { page, context, heard } = await signIn(browser, house);
  for (const screen of ['#/', '#/sale/evil/live', '#/sale/evil/notice', '#/sale/evil/report', '#/bans', '#/audit']) {
    await go(page, screen);
    await page.waitForSelector('main h1');
    await until(`${screen} to be there`, async () => !(await page.innerText('main')).includes('Loading …'));
    assert.equal(await page.locator('main img, main script').count(), 0, screen);
    assert.notEqual(await page.title(), 'owned');
  }
  assert.deepEqual(heard, []);
  await context.close();
});

test('the page cannot be framed, and takes no script that is not ours', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(house.admin);
  const refused = await page.evaluate(async () => {
    /** @type {string[]} */
    const found = [];
    document.addEventListener('securitypolicyviolation', (event) => found.push(event.effectiveDirective));
    const tries = [
      () => (document.body.innerHTML += '<img src=x onerror="document.title=1">'),
      () => {
        const script = document.createElement('script');
        script.src = 'data:text/javascript,document.title=1';
        document.body.append(script);
      },
      () => document.body.setAttribute('onclick', 'document.title=1'),
      () => void fetch('https://elsewhere.example/').catch(() => {}),
    ];
    for (const attempt of tries) {
      try {
        attempt();
      } catch {
        // Trusted types refuse the text itself.
      }
    }
    await new Promise((done) => setTimeout(done, 500));
    return found;
  });
  for (const what of ['require-trusted-types-for', 'connect-src']) assert.ok(refused.includes(what), `${what}: ${refused}`);
  await page.click('h1');
  assert.equal(await page.title(), 'Operator console · Sluice');
  const answer = await fetch(house.admin);
  assert.match(answer.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
  await context.close();
});
