/**
 * What every browser test needs: a real `sluice` on private ports with a data folder of its own, a real Chromium, and a
 * few ways to look. Nothing here knows a page.
 *
 * The environment says what to use (scripts/browser sets it): SLUICE_BIN, the program; CHROMIUM, the browser
 * (/usr/bin/chromium); SHOTS, the folder of screenshots (target/browser).
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '../..');
const BIN = process.env.SLUICE_BIN ?? join(ROOT, 'target/debug/sluice');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const SHOTS = process.env.SHOTS ?? join(ROOT, 'target/browser');

/** The sizes pages are looked at. */
export const SIZES = {
  phone: { width: 360, height: 740 },
  desktop: { width: 1280, height: 800 },
};

/** A port that nobody has now. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until `look` answers something true, and answers that. Fails after `seconds`, saying `what` it waited for. */
export async function until(what, look, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${seconds} s for: ${what}; last: ${last}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * A running `sluice run`. It keeps its ports and its data over `restart()`.
 *
 * @param {{ toml?: string }} [options] `toml` is the rest of the configuration, below the addresses.
 */
export async function startSluice(options = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-browser-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const house = {
    base: `http://127.0.0.1:${port}`,
    admin: `http://127.0.0.1:${adminPort}`,
    folder,
    token: '',
    /** @type {import('node:child_process').ChildProcess | undefined} */
    child: undefined,
    log: '',
    start,
    stop,
    /** Ends the program as a deployment does, and starts it again on the same ports and data. */
    async restart() {
      await halt('SIGTERM');
      await start();
    },
    /** Ends it without a word. */
    kill: () => halt('SIGKILL'),
    /** Asks the operator API; fails unless it answers 2xx. */
    async operator(method, path, body) {
      const answer = await fetch(house.admin + path, {
        method,
        headers: { authorization: `Bearer ${house.token}`, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return text ? JSON.parse(text) : undefined;
    },
    /** Creates a sale and waits until buyers can see it. */
    async sale(id, more = {}) {
      const skus = [{ sku: 'standard', stock: 100, amount_fen: 9900, currency: 'CNY' }];
      await house.operator('POST', '/v1/sales', { id, title: `Sale ${id}`, skus, ...more });
      await until(`sale ${id} to be known`, async () => {
        const answer = await fetch(`${house.base}/v1/sales/${id}`);
        return answer.ok;
      });
    },
    /** Joins `count` buyers ahead of whoever comes next; answers their entries with their tokens. */
    async crowd(sale, count, sku = 'standard') {
      const join = async () => {
        const answer = await fetch(`${house.base}/v1/sales/${sale}/entries`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ items: [{ sku, quantity: 1 }] }),
        });
        if (!answer.ok) throw new Error(`join: ${answer.status} ${await answer.text()}`);
        return answer.json();
      };
      const joined = [];
      while (joined.length < count) {
        const batch = Math.min(20, count - joined.length);
        joined.push(...(await Promise.all(Array.from({ length: batch }, join))));
      }
      return joined;
    },
  };

  await writeFile(join(folder, 'sluice.toml'), configuration(port, adminPort, options.toml ?? ''));
  await start();
  return house;

  async function start() {
    const child = spawn(BIN, ['run', '--config', 'sluice.toml'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    house.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => (house.log = (house.log + chunk).slice(-20_000)));
    }
    await until('sluice to be ready', async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${house.log}`);
      return (await fetch(`${house.admin}/ready`)).ok;
    });
    house.token = (await readFile(join(folder, 'sluice-data/admin-token'), 'utf8')).trim();
  }

  async function halt(signal) {
    const child = house.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(late);
  }

  async function stop() {
    await halt('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  }
}

function configuration(port, adminPort, rest) {
  // Everybody in a test has one address: its limit is set out of the way, unless the test says otherwise.
  const limits = rest.includes('[limits]')
    ? ''
    : '[limits]\nper_ip = { per_second = 5000, burst = 5000 }\nper_buyer = { per_second = 50, burst = 100 }\nper_device = { per_second = 50, burst = 100 }\n';
  return `[admission]\nlisten = "127.0.0.1:${port}"\n[admin]\nlisten = "127.0.0.1:${adminPort}"\n${limits}${rest}`;
}

/** A Chromium. Close it in `after`. */
export function startBrowser(options = {}) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    ...options,
  });
}

/**
 * Collects what a page complains of: errors nobody caught, and what its content security policy refused.
 *
 * @param {import('playwright-core').Page} page
 * @returns {string[]} grows as the page complains
 */
export function complaints(page) {
  /** @type {string[]} */
  const heard = [];
  page.on('pageerror', (error) => heard.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|Uncaught/.test(message.text())) heard.push(message.text());
  });
  return heard;
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/**
 * What axe-core finds wrong with the page as it stands: nothing, one hopes. It is run from outside the page's own world
 * of scripts, because the page's content security policy lets nothing in.
 *
 * @param {import('playwright-core').Page} page
 * @returns {Promise<string[]>}
 */
export async function axe(page) {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const { violations } = await page.evaluate(() =>
    // @ts-ignore: the line above defined it
    globalThis.axe.run(document, { resultTypes: ['violations'] }),
  );
  return violations.map(
    (one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`,
  );
}

/**
 * Keeps a picture of the page under SHOTS and answers its path.
 *
 * @param {import('playwright-core').Page} page
 */
export async function shoot(page, name) {
  const path = join(SHOTS, `${name}.png`);
  await mkdir(dirname(path), { recursive: true });
  await page.screenshot({ path, animations: 'disabled' });
  return path;
}
