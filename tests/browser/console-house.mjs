/** What the tests of the console share: a house with a token for each role, and ways to work the page like a person. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { BIN, complaints, startBrowser, startSluice, until } from './house.mjs';

/** @param {'viewer' | 'operator' | 'admin'} role */
export const tokenOf = (role) => `${role}-token-that-is-long-enough-to-be-one`;

const ROLES = /** @type {const} */ (['viewer', 'operator', 'admin']);

/** A house whose admin's name is `admin`, and so on. */
export async function startHouse(toml = '') {
  const tokens = ROLES.map((role) => `{ name = "${role}", role = "${role}", token = "${tokenOf(role)}" }`);
  return startSluice({
    toml,
    token: tokenOf('admin'),
    env: { SLUICE_ADMIN__TOKENS: `[${tokens.join(', ')}]` },
  });
}

/** @typedef {Awaited<ReturnType<typeof startHouse>>} House */
/** @typedef {Awaited<ReturnType<typeof startBrowser>>} Browser */

/**
 * A tab in which somebody has signed in.
 *
 * @param {Browser} browser
 * @param {House} house
 * @param {{ role?: 'viewer' | 'operator' | 'admin', at?: string, locale?: string, width?: number, height?: number,
 *   colorScheme?: 'light' | 'dark' }} [how]
 */
export async function signIn(browser, house, how = {}) {
  const context = await browser.newContext({
    viewport: { width: how.width ?? 1280, height: how.height ?? 900 },
    locale: how.locale ?? 'en-GB',
    timezoneId: 'Asia/Shanghai',
    colorScheme: how.colorScheme ?? 'light',
    acceptDownloads: true,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const heard = complaints(page);
  await page.goto(`${house.admin}/${how.at ?? ''}`);
  await page.fill('#token', tokenOf(how.role ?? 'admin'));
  await page.keyboard.press('Enter');
  await page.waitForSelector('#bar nav');
  return { page, context, heard };
}

/**
 * Goes to a screen as its link does.
 *
 * @param {import('playwright-core').Page} page
 */
export async function go(page, hash) {
  await page.evaluate((to) => (location.hash = to), hash);
}

/**
 * Answers the dialog that is open: a reason, a typed name, and the button that does it.
 *
 * @param {import('playwright-core').Page} page
 * @param {{ reason?: string, typed?: string }} [answers]
 */
export async function answer(page, answers = {}) {
  const dialog = page.locator('dialog[open]');
  await dialog.waitFor();
  if (answers.reason) await dialog.locator('textarea[name=reason]').fill(answers.reason);
  if (answers.typed) await dialog.locator('input[name=typed]').fill(answers.typed);
  await dialog.locator('button[type=submit]').click();
}

/** Answers the dialog, and waits until it was done and said. */
export async function answerAndHear(page, answers = {}) {
  await answer(page, answers);
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  return page.locator('#told p').innerText();
}

/**
 * The newest row of the audit log that says `verb`.
 *
 * @param {House} house
 */
export async function audited(house, verb) {
  const { rows } = await house.operator('GET', '/v1/audit?limit=100');
  return rows.find((row) => row.verb === verb);
}

/**
 * A small crowd of the program's own, so that numbers move. Ends with what it returned.
 *
 * @param {House} house
 */
export function swarm(house, sale, shoppers, over, more = []) {
  const args = ['swarm', '--target', house.base, '--sale', sale, '--shoppers', String(shoppers), '--arrive-over', over, ...more];
  const child = spawn(BIN, args, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  return {
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}

/**
 * Buries turns of a sale as a worker does whose tries are exhausted: in the store, while the program is down.
 *
 * @param {House} house
 */
export async function bury(house, sale, reasons) {
  await house.kill();
  const script = `
import json, os, sqlite3, sys, time
store = sqlite3.connect(sys.argv[1])
for number, reason in enumerate(json.loads(sys.argv[3]), 1):
    store.execute(
        "INSERT INTO turn (sale, entry, buyer, seq, holes_below, basket, joined_at, epoch, attempt, called_at, tries, buried_at, reason)"
        " VALUES (?, ?, ?, ?, 0, ?, ?, 1, 1, ?, 5, ?, ?)",
        (sys.argv[2], os.urandom(16), f"buyer-{number}", number, "standard:1",
         *[int(time.time() * 1000)] * 3, reason))
store.commit()
`;
  const child = spawn('python3', ['-c', script, `${house.folder}/sluice-data/sluice.sqlite`, sale, JSON.stringify(reasons)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the turns could not be buried: ${code}`);
  await house.start();
  await until('the letters to lie there', async () =>
    (await house.operator('GET', '/v1/dead-letters')).letters.length >= reasons.length);
}
