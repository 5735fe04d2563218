/** Each action of the console does what it says: seen through the API, and in the audit log, not only on the page. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { answer, answerAndHear, audited, bury, go, signIn, startHouse } from './console-house.mjs';
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

const sale = (id) => house.operator('GET', `/v1/sales/${id}`);
const press = (page, name) => page.click(`[data-action=${name}]`);
const state = (page) => page.locator('.sale-head .state').innerText();

test('a sale is made as the form says', async () => {
  const { page, context } = await signIn(browser, house);
  await page.click('a[href="#/new"]');
  await page.fill('#sale-id', 'spring');
  await page.fill('#sale-title', 'Spring <b>drop</b>');
  await page.fill('#sale-opens_at', '2031-03-01T20:00');
  await page.fill('[data-part=sku]', 'standard');
  await page.fill('[data-part=stock]', '120');
  await page.fill('[data-part=amount_fen]', '99.5');
  await page.click('text=Add another SKU');
  const second = page.locator('.sku-row').nth(1);
  await second.locator('[data-part=sku]').fill('deluxe');
  await second.locator('[data-part=stock]').fill('30');
  await second.locator('[data-part=amount_fen]').fill('1299');
  await page.fill('#policy-fraction', '7');
  await page.click('text=Make the sale');
  // The API refuses it, and the page says what and marks where.
  await page.waitForSelector('.trouble:has-text("must be above 0 and at most 1")');
  assert.equal(await page.getAttribute('#policy-fraction', 'aria-invalid'), 'true');
  await page.fill('#policy-fraction', '0.05');
  await page.click('text=Make the sale');
  await page.waitForSelector('h1:has-text("Spring <b>drop</b>")');
  const made = await sale('spring');
  assert.equal(made.title, 'Spring <b>drop</b>');
  assert.equal(made.opens_at, '2031-03-01T12:00:00.000Z', 'the time is that of the operator, in Shanghai');
  assert.deepEqual(
    made.skus.map(({ sku, stock, amount_fen, currency }) => [sku, stock, amount_fen, currency]),
    [['standard', 120, 9950, 'CNY'], ['deluxe', 30, 129900, 'CNY']],
  );
  assert.equal(made.policy.fraction, 0.05);
  assert.equal(made.policy.line_cap, 50_000, 'what was not said is as usual');
  assert.match(page.url(), /#\/sale\/spring\/checklist$/);
  await page.waitForSelector('.checks li');
  await context.close();
});

test('pause, resume, freeze and resume again, each with its reason', async () => {
  await house.sale('steer');
  const { page, context } = await signIn(browser, house, { at: '#/sale/steer' });
  await press(page, 'pause');
  assert.equal(await answerAndHear(page, { reason: 'the shop is slow' }), 'The sale is paused.');
  assert.equal((await sale('steer')).control, 'paused');
  assert.equal((await audited(house, 'sale.pause')).reason, 'the shop is slow');
  assert.equal(await state(page), 'paused');
  await press(page, 'resume');
  await answerAndHear(page);
  assert.equal((await sale('steer')).control, 'running');
  await press(page, 'freeze');
  await answer(page);
  // Without a reason nothing is done.
  await page.waitForSelector('dialog .trouble');
  assert.equal((await sale('steer')).control, 'running');
  await answerAndHear(page, { reason: 'the books look odd' });
  assert.equal((await sale('steer')).control, 'frozen');
  await press(page, 'resume');
  await answerAndHear(page, { reason: 'they add up' });
  assert.equal((await sale('steer')).control, 'running');
  // Cancel cancels.
  await press(page, 'pause');
  await page.click('dialog >> text=Cancel');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  assert.equal((await sale('steer')).control, 'running');
  await context.close();
});

test('a policy is tuned after a look at what it would do, and taken back in one step', async () => {
  await house.sale('tune', { policy: { multiplier: 0 } });
  await house.crowd('tune', 40);
  const { page, context } = await signIn(browser, house, { at: '#/sale/tune/tune' });
  await until('forty to wait', async () => (await house.operator('GET', '/v1/sales/tune/stats')).line.waiting === 40);
  await page.fill('#policy-multiplier', '1');
  await page.fill('#policy-tail_per_second', '5');
  await page.waitForSelector('[data-row="effect.orders"] td:nth-child(3):has-text("40")');
  assert.equal(await page.innerText('[data-row="effect.orders"] td:nth-child(2)'), '0');
  assert.equal((await sale('tune')).policy.multiplier, 0, 'a look changes nothing');
  await page.click('text=Apply');
  assert.match(await page.innerText('dialog'), /Multiplier\s+0\s+1/);
  assert.match(await answerAndHear(page, { reason: 'the shop is ready: 准备好了' }), /You can take it back/);
  assert.equal((await audited(house, 'sale.policy')).reason, 'the shop is ready: 准备好了');
  const tuned = await sale('tune');
  assert.deepEqual([tuned.policy.multiplier, tuned.policy.tail_per_second], [1, 5]);
  await press(page, 'undo');
  await page.waitForSelector('#told:has-text("as it was before")');
  const back = await sale('tune');
  assert.deepEqual([back.policy.multiplier, back.policy.tail_per_second], [0, 0]);
  assert.equal(await page.inputValue('#policy-multiplier'), '0');
  assert.match((await audited(house, 'sale.policy')).reason, /^Undone/);
  await context.close();
});

test('a policy that stops the line, or rushes it, is set with a reason; fine tuning needs none', async () => {
  await house.sale('drastic');
  const { page, context } = await signIn(browser, house, { at: '#/sale/drastic/tune' });
  const set = async (name, value) => {
    await page.fill(`#policy-${name}`, value);
    await page.click('text=Apply');
  };
  await set('fraction', '0.03');
  await answerAndHear(page);
  assert.equal((await audited(house, 'sale.policy')).reason, null);
  for (const [name, value] of [['fraction', '0.9'], ['multiplier', '0']]) {
    await set(name, value);
    await answer(page);
    await page.waitForSelector('dialog .trouble:has-text("Say why")');
    assert.notEqual((await sale('drastic')).policy[name], Number(value), `${name} without a reason`);
    await answerAndHear(page, { reason: `a ${name}` });
    assert.equal((await sale('drastic')).policy[name], Number(value));
  }
  await go(page, '#/audit');
  await page.waitForSelector('tbody tr:has-text("a multiplier")');
  await page.waitForSelector('tbody tr:has-text("a fraction")');
  await context.close();
});

test('a policy that somebody else changed meanwhile is not run over', async () => {
  await house.sale('both');
  const { page, context } = await signIn(browser, house, { at: '#/sale/both/tune' });
  await page.fill('#policy-fraction', '0.5');
  // The stream is cut, so that only the refusal can tell that the sale has moved on.
  await page.route('**/stats/stream', (route) => route.abort());
  await page.evaluate(() => (location.hash = '#/sale/both/live'));
  await page.evaluate(() => (location.hash = '#/sale/both/tune'));
  await page.waitForSelector('#policy-fraction');
  await page.fill('#policy-fraction', '0.5');
  await house.operator('PATCH', '/v1/sales/both/policy', { tail_per_second: 9 });
  await page.click('text=Apply');
  await answer(page, { reason: 'a rush' });
  await page.waitForSelector('.trouble:has-text("Somebody changed the sale meanwhile")');
  assert.equal((await sale('both')).policy.fraction, 0.02, 'nothing of ours was set');
  await page.click('text=Keep what I typed');
  assert.equal(await page.inputValue('#policy-tail_per_second'), '9', 'what the other set is taken over');
  assert.equal(await page.inputValue('#policy-fraction'), '0.5');
  await page.click('text=Apply');
  await answerAndHear(page, { reason: 'a rush' });
  const { policy } = await sale('both');
  assert.deepEqual([policy.fraction, policy.tail_per_second], [0.5, 9]);
  // Nor is it taken back over somebody else's change.
  await house.operator('PATCH', '/v1/sales/both/policy', { fraction: 0.9 });
  await press(page, 'undo');
  await page.waitForSelector('.trouble:has-text("so it was not taken back")');
  assert.equal((await sale('both')).policy.fraction, 0.9);
  await context.close();
});

test('a value out of its range is told with its field before it is applied, and after', async () => {
  await house.sale('range');
  const { page, context } = await signIn(browser, house, { at: '#/sale/range/tune' });
  await page.fill('#policy-ceiling_per_second', '2000000');
  await page.waitForSelector('.effect .trouble:has-text("policy.ceiling_per_second")');
  assert.equal(await page.getAttribute('#policy-ceiling_per_second', 'aria-invalid'), 'true');
  await page.click('text=Apply');
  await answer(page);
  await page.waitForSelector('dialog .trouble:has-text("must be above 0 and at most 1000000")');
  assert.equal((await sale('range')).policy.ceiling_per_second, 2000);
  await context.close();
});

test('limits are laid on and taken away', async () => {
  await house.sale('limits');
  const { page, context } = await signIn(browser, house, { at: '#/sale/limits/tune' });
  await page.click('summary');
  await page.fill('#policy-limits-per_ip-per_second', '7');
  await page.fill('#policy-limits-per_ip-burst', '9');
  await page.check('#policy-refuse_while_paused');
  await page.click('text=Apply');
  await answerAndHear(page);
  const { policy } = await sale('limits');
  assert.deepEqual([policy.limits, policy.refuse_while_paused], [{ per_ip: { per_second: 7, burst: 9 } }, true]);
  await press(page, 'undo');
  await page.waitForSelector('#told:has-text("as it was before")');
  assert.deepEqual((await sale('limits')).policy.limits, {});
  await context.close();
});

test('a notice reaches buyers in both languages, and is taken down', async () => {
  await house.sale('notice');
  const { page, context } = await signIn(browser, house, { at: '#/sale/notice/notice' });
  await page.fill('#notice-en', 'Back in <i>5</i> minutes');
  await page.fill('#notice-zh', '五分钟后继续');
  await page.click('text=Tell everybody');
  await answerAndHear(page, { reason: 'the warehouse' });
  assert.deepEqual((await sale('notice')).notice, { en: 'Back in <i>5</i> minutes', zh: '五分钟后继续' });
  await until('buyers to see it', async () => {
    const seen = await (await fetch(`${house.base}/v1/sales/notice`)).json();
    return JSON.stringify(seen.notice ?? '').includes('五分钟后继续');
  });
  assert.equal(await page.locator('.notice i').count(), 0, 'what people write stays text');
  await press(page, 'take-down');
  await answerAndHear(page);
  assert.equal((await sale('notice')).notice, null);
  await context.close();
});

test('stock is added once, with a reason', async () => {
  await house.sale('stock');
  const { page, context } = await signIn(browser, house, { at: '#/sale/stock/stock' });
  await page.fill('#add-standard', '1.5');
  await page.click('text=Add stock');
  await page.waitForSelector('.trouble:has-text("A whole number")');
  await page.fill('#add-standard', '25');
  await page.click('text=Add stock');
  await answerAndHear(page, { reason: 'found a box' });
  assert.equal((await sale('stock')).skus[0].stock, 125);
  assert.equal((await audited(house, 'sale.stock')).reason, 'found a box');
  await until('the page to say so', async () => /125/.test(await page.innerText('.figures')));
  await context.close();
});

test('somebody is banned, and the ban is lifted', async () => {
  const { page, context } = await signIn(browser, house, { at: '#/bans' });
  await page.selectOption('#ban-kind', 'cidr');
  await page.fill('#ban-cidr', '198.51.100.0/33');
  await page.click('form button[type=submit]');
  await answer(page, { reason: 'bots' });
  await page.waitForSelector('dialog .trouble:has-text("range of addresses")');
  await page.click('dialog >> text=Cancel');
  await page.fill('#ban-cidr', '198.51.100.7/24');
  await page.click('form button[type=submit]');
  await answerAndHear(page, { reason: 'bots' });
  const { bans } = await house.operator('GET', '/v1/bans');
  assert.deepEqual(bans.map(({ cidr, reason }) => [cidr, reason]), [['198.51.100.0/24', 'bots']]);
  await press(page, 'lift');
  await answerAndHear(page, { reason: 'it was the wrong range' });
  assert.equal((await audited(house, 'ban.remove')).reason, 'it was the wrong range');
  assert.deepEqual((await house.operator('GET', '/v1/bans')).bans, []);
  await context.close();
});

test('the books are run', async () => {
  await house.sale('books');
  const { page, context } = await signIn(browser, house, { at: '#/books' });
  await press(page, 'run');
  assert.equal(await answerAndHear(page, { reason: 'before it opens' }), 'Everything adds up.');
  await page.waitForSelector('[data-books=books] .verdict-balanced');
  const row = await audited(house, 'reconciliation.run');
  assert.deepEqual([row.reason, row.after.sound], ['before it opens', true]);
  await context.close();
});

test('dead letters are replayed and refused', async () => {
  await house.sale('letters');
  await bury(house, 'letters', ['the ledger said no', 'and once more']);
  const { page, context } = await signIn(browser, house, { at: '#/letters' });
  await page.waitForSelector('text=the ledger said no');
  const letters = () => house.operator('GET', '/v1/dead-letters').then((list) => list.letters);
  const [newest, oldest] = await letters();
  await page.click(`[data-letter="${newest.id}"] [data-action=refuse]`);
  assert.equal(await answerAndHear(page, { reason: 'a bot' }), 'The entry ended: refused.');
  assert.deepEqual((await letters()).map(({ id }) => id), [oldest.id]);
  assert.equal((await audited(house, 'letter.refuse')).reason, 'a bot');
  await page.click(`[data-letter="${oldest.id}"] [data-action=replay]`);
  await answerAndHear(page);
  await until('the turn to be worked', async () => (await letters()).length === 0);
  await page.waitForSelector('text=There are none.');
  await until('its order', async () => (await house.operator('GET', '/v1/sales/letters/stats')).orders.awaiting_payment === 1);
  await context.close();
});

test('the report is saved as the API gives it', async () => {
  await house.sale('report', { policy: { tail_per_second: 50 } });
  await house.crowd('report', 20);
  await until('orders', async () => (await house.operator('GET', '/v1/sales/report/stats')).orders.awaiting_payment === 20);
  const { page, context } = await signIn(browser, house, { at: '#/sale/report/report' });
  await page.waitForSelector('h2:has-text("Report: Sale report")');
  const [download] = await Promise.all([page.waitForEvent('download'), press(page, 'csv')]);
  assert.equal(download.suggestedFilename(), 'report-report.csv');
  const saved = await readFile(await download.path(), 'utf8');
  const given = await fetch(`${house.admin}/v1/sales/report/report.csv`, { headers: { authorization: `Bearer ${house.token}` } });
  assert.equal(saved, await given.text());
  assert.match(await page.innerText('.tiles.small'), /reserved\s+20/);
  // On paper there is neither a bar nor a button.
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('#bar').isVisible(), false);
  assert.equal(await page.locator('[data-action=print]').isVisible(), false);
  assert.equal(await page.locator('h2:has-text("Minute by minute")').isVisible(), true);
  await context.close();
});

test('a sale is closed for good and deleted, each after its name was typed', async () => {
  await house.sale('over');
  const { page, context } = await signIn(browser, house, { at: '#/sale/over' });
  await press(page, 'close');
  await answer(page, { reason: 'the night is over', typed: 'ovre' });
  await page.waitForSelector('dialog .trouble:has-text("Type over, exactly.")');
  assert.equal((await sale('over')).control, 'running');
  await answerAndHear(page, { typed: 'over' });
  assert.equal((await sale('over')).control, 'closed');
  assert.equal((await audited(house, 'sale.close')).reason, 'the night is over');
  await press(page, 'delete');
  await answer(page, { typed: 'over' });
  await page.waitForSelector('dialog .trouble:has-text("Say why")');
  await answerAndHear(page, { reason: 'the books are kept' });
  await assert.rejects(sale('over'), /404/);
  assert.equal((await audited(house, 'sale.delete')).reason, 'the books are kept');
  await page.waitForSelector('h1:has-text("Sales")');
  await context.close();
});

test('a checklist says what is wrong and what nobody here can know', async () => {
  await house.sale('check', { opens_at: '2031-01-01T00:00:00Z', skus: [
    { sku: 'none', stock: 0, amount_fen: 0, currency: 'CNY' },
    { sku: 'some', stock: 500, amount_fen: 100, currency: 'CNY' },
  ], policy: { multiplier: 0.5, line_cap: 100 } });
  const { page, context } = await signIn(browser, house, { at: '#/sale/check/checklist' });
  await page.waitForSelector('.checks li');
  const said = (verdict) => page.locator(`.checks .check-${verdict} strong`).allInnerTexts();
  assert.deepEqual(await said('bad'), ['Stock']);
  const look = await said('look');
  for (const what of ['Prices', 'Closing', 'Speed', 'Room in line']) assert.ok(look.includes(what), `${what}: ${look}`);
  const good = await said('good');
  for (const what of ['Opening', 'This node', 'Stores', 'Payment provider']) assert.ok(good.includes(what), `${what}: ${good}`);
  // The console asks for the metrics of its own node; without them it does not guess.
  await page.route('**/metrics', (route) => route.abort());
  await page.click('text=Check again');
  await page.waitForSelector('.checks .check-unknown strong:has-text("Payment provider")');
  await context.close();
});

test('the audit log shows what was done, by whom, and that its rows hang together', async () => {
  await house.sale('audit');
  await house.operator('POST', '/v1/sales/audit/pause', { reason: 'a look at <script>' });
  const { page, context } = await signIn(browser, house);
  await go(page, '#/audit');
  await page.fill('#audit-filter', 'a look at');
  await page.waitForSelector('tbody tr:has-text("a look at <script>")');
  assert.match(await page.innerText('tbody tr'), /admin.*paused.*audit.*done/s);
  await page.waitForSelector('text=each carries the hash of the one before it');
  // A row that was tampered with is found.
  await page.route('**/v1/audit*', async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    body.rows[1].hash = '0'.repeat(64);
    await route.fulfill({ response: answer, json: body });
  });
  await page.click('text=Refresh');
  await page.waitForSelector('.trouble:has-text("somebody changed the log")');
  await context.close();
});
