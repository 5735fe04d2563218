// An order backend of one's own: takes turns from `sluice.turns`, decides them in its own books, and reports the outcomes.
//
// The order of things is what makes it safe: decide (durably, once per entry), report (until there is an answer), acknowledge.
// Killed between any two of them, the turn is delivered again, the books return what was decided, and the same is reported.

import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { connect } from 'amqplib';

import { Shop } from './shop.js';
import { Refused, Sluice, Unsure } from './sluice.js';

const QUEUE = 'sluice.turns';
const TYPE = 'sluice.turn.v1';
// Turns in hand at most: each is a write and a report under way.
const PREFETCH = 32;
const RECONNECT_MS_MAX = 30_000;
const DRAIN_MS = 10_000;

const HELP = `An order backend for Sluice. Secrets come from the environment: SLUICE_TOKEN, SLUICE_RABBITMQ__URL.

  --admin URL                     Sluice's operator address (http://127.0.0.1:8081)
  --books FILE                    the journal of stock and orders (shop.journal)
  --stock SALE/SKU=UNITS          what there is; repeat for more
  --checkout URL                  https address of the pay page; its host must be in link_hosts
  --pay-listen HOST:PORT          where the pay page listens (127.0.0.1:8090)
  --payment-window-seconds N      how long an order may be paid (900)
`;

const log = (level, text) => process.stderr.write(`${new Date().toISOString()} ${level} ${text}\n`);

/** A message that is no turn. */
export class Unreadable extends Error {}

/** Reads a CloudEvent in structured mode. Fields it does not know are none of its business. */
export function readTurn(body) {
  let event;
  try {
    event = JSON.parse(body.toString('utf8'));
  } catch (fault) {
    throw new Unreadable(`it is not JSON: ${fault.message}`);
  }
  if (event?.type !== TYPE) throw new Unreadable(`its type is ${event?.type}, not ${TYPE}`);
  const { entry, sale, buyer, items } = event.data ?? {};
  if (![entry, sale, buyer].every((text) => typeof text === 'string' && text) || !Array.isArray(items)) {
    throw new Unreadable('a field is missing or of the wrong type');
  }
  const wanted = new Map();
  for (const item of items) {
    const { sku, quantity } = item ?? {};
    if (typeof sku !== 'string' || !Number.isSafeInteger(quantity) || quantity < 1) {
      throw new Unreadable('an item has no SKU, or its quantity is no positive number');
    }
    wanted.set(sku, (wanted.get(sku) ?? 0) + quantity);
  }
  if (wanted.size === 0) throw new Unreadable('it wants nothing');
  return { entry, sale, buyer, items: wanted };
}

/** Decides a turn and reports it. Returns once Sluice has the outcome; throws Unsure when it could not be reached. */
export async function settle(turn, shop, sluice, checkout) {
  const { outcome, order, payBy } = await shop.decide(turn);
  const report = { outcome };
  if (order) Object.assign(report, { order, pay_by: payBy }, checkout && { url: `${checkout}/${order}` });
  let stands = true;
  try {
    await sluice.outcome(turn.entry, report);
  } catch (fault) {
    if (!(fault instanceof Refused) || ![404, 409].includes(fault.status)) throw fault;
    // The entry came to something else before, or its sale was deleted: the buyer left, or has another order.
    log('warning', `entry ${turn.entry}: another outcome stands (${fault.message})`);
    stands = false;
  }
  await shop.settled(turn.entry);
  if (!stands) await shop.withdraw(turn.entry);
}

/** What is said to the broker of one message. `stop` is called with what makes going on pointless. */
async function answerTo(message, settleTurn, stop) {
  try {
    await settleTurn(readTurn(message.content));
    return (channel) => channel.ack(message);
  } catch (fault) {
    if (fault instanceof Unreadable) {
      log('error', `a message in ${QUEUE} is set aside: ${fault.message}`);
      return (channel) => channel.reject(message, false);
    }
    if (fault instanceof Refused) {
      // A wrong token, a link to a host that Sluice does not know: every other turn would be refused as well.
      stop(`Sluice refused a report (${fault.message}); see [admin] tokens and [worker] link_hosts there`);
    } else if (!(fault instanceof Unsure)) {
      stop(`the books cannot be kept: ${fault.stack}`);
    }
    log('warning', `a turn goes back to the queue: ${fault.message}`);
    return (channel) => channel.reject(message, true);
  }
}

/** Consumes on one connection, until it ends or `signal` says to stop; then what is in hand is finished and acknowledged. */
async function consume(url, settleTurn, signal, stop) {
  const connection = await connect(url, { timeout: 5_000 });
  const ended = new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
    connection.once('close', resolve);
    // `close` comes after it.
    connection.on('error', (fault) => log('warning', `the connection to RabbitMQ broke: ${fault.message}`));
  });
  try {
    const channel = await connection.createChannel();
    let open = true;
    const inHand = new Set();
    const cancelled = new Promise((resolve) => {
      channel.on('error', (fault) => log('warning', `RabbitMQ closed the channel: ${fault.message}`));
      channel.once('close', () => resolve((open = false)));
      connection.once('close', () => (open = false));
    });
    await channel.prefetch(PREFETCH);
    const { consumerTag } = await channel.consume(QUEUE, (message) => {
      // The broker cancels the consumer when its queue is deleted or moved.
      if (message === null) return channel.close();
      const work = answerTo(message, settleTurn, stop).then((answer) => {
        inHand.delete(work);
        // Without its channel the delivery is gone: it comes again, and finds its decision in the books.
        if (open) answer(channel);
      });
      return inHand.add(work);
    });
    log('info', `consuming ${QUEUE}`);
    await Promise.race([ended, cancelled]);
    if (open) {
      await channel.cancel(consumerTag);
      await Promise.race([Promise.all(inHand), sleep(DRAIN_MS, null, { ref: false })]);
      // Sends what was said before it; what is still in hand goes back to the queue.
      await channel.close();
    }
  } finally {
    await connection.close().catch(() => {});
  }
}

/** Consumes, and connects again whenever the connection ends, until told to stop. */
async function serve(url, settleTurn, signal, stop) {
  const address = new URL(url);
  address.searchParams.set('heartbeat', '10');
  for (let pause = 1_000; !signal.aborted; pause = Math.min(pause * 2, RECONNECT_MS_MAX)) {
    const began = Date.now();
    try {
      await consume(address.href, settleTurn, signal, stop);
    } catch (fault) {
      // 404: the queue is Sluice's to declare, and it has not yet.
      log('warning', `no connection to RabbitMQ: ${fault.message}`);
    }
    if (Date.now() - began > 60_000) pause = 1_000;
    await sleep(pause * (0.5 + Math.random() / 2), null, { signal }).catch(() => {});
  }
}

/** Once a second: closes what nobody paid, tells Sluice how much is left, and what orders came to. */
async function keepHouse(shop, sluice, signal) {
  const told = new Map();
  while (!signal.aborted) {
    await sleep(1_000, null, { signal }).catch(() => {});
    try {
      await shop.closeDue();
      // First what is left: an order that is closed must not look like the last hope of the line.
      for (const [sale, sku, units] of shop.remaining()) {
        const place = `${sale}/${sku}`;
        if (told.get(place) === units) continue;
        // There is no such sale yet, perhaps: asked again in a second.
        const heard = await wanted(sluice.remaining(sale, sku, units), `${units} of ${place} are left`);
        if (heard) told.set(place, units);
      }
      for (const { entry, order, state } of shop.untold()) {
        await wanted(sluice.state(entry, order, state), `order ${order} is ${state}`);
        await shop.told(entry, state);
      }
    } catch (fault) {
      if (!(fault instanceof Unsure)) throw fault;
      log('warning', `housekeeping stopped short and goes on in a second: ${fault.message}`);
    }
  }
}

/** Whether Sluice wanted to know. */
async function wanted(report, what) {
  try {
    await report;
    return true;
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    log('warning', `${what}, and Sluice does not want to know: ${fault.message}`);
    return false;
  }
}

/** The shop's own pay page, much reduced: POST /{order} pays. */
function payPage(shop) {
  return createServer(async (request, response) => {
    const order = request.url.split('/').pop();
    const paid = request.method === 'POST' && (await shop.pay(order));
    response.writeHead(paid ? 200 : 409, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ state: paid ? 'paid' : 'closed' }));
  });
}

/** What was asked for on the command line, or a sentence about what is wrong with it. */
export function options(args) {
  const text = (value) => ({ type: 'string', default: value });
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', default: false },
      admin: text('http://127.0.0.1:8081'),
      books: text('shop.journal'),
      stock: { type: 'string', multiple: true, default: [] },
      checkout: text(''),
      'pay-listen': text('127.0.0.1:8090'),
      'payment-window-seconds': text('900'),
    },
  });
  const stock = values.stock.map((given) => {
    const fits = /^([a-z0-9-]+)\/([a-z0-9-]+)=(\d+)$/.exec(given);
    if (!fits) throw new Error(`--stock ${given}: write SALE/SKU=UNITS, such as drop/standard=100`);
    return [fits[1], fits[2], Number(fits[3])];
  });
  const window = Number(values['payment-window-seconds']);
  if (!(window > 0)) throw new Error('--payment-window-seconds: write a number above 0');
  return { ...values, stock, window, checkout: values.checkout.replace(/\/+$/, '') };
}

async function main(args) {
  const asked = options(args);
  if (asked.help) return process.stdout.write(HELP);
  const { SLUICE_TOKEN: token, SLUICE_RABBITMQ__URL: url = 'amqp://guest:guest@127.0.0.1:5672/%2f' } = process.env;
  if (!token) throw new Error('set SLUICE_TOKEN to a token with the role `backend` ([admin] tokens)');
  const shop = await Shop.open(asked.books, asked.window);
  for (const [sale, sku, units] of asked.stock) await shop.stockUp(sale, sku, units);
  const sluice = new Sluice(asked.admin, token);
  const stopping = new AbortController();
  const stop = (fault) => {
    if (fault && !stopping.signal.aborted) {
      process.exitCode = 1;
      log('error', fault);
    }
    stopping.abort();
  };
  process.on('SIGTERM', () => stop()).on('SIGINT', () => stop());
  const page = payPage(shop);
  const [, host, port] = /^(.*):(\d+)$/.exec(asked['pay-listen']) ?? [null, '127.0.0.1', '8090'];
  await new Promise((listening, failed) => page.once('error', failed).listen(Number(port), host, listening));
  const settleTurn = (turn) => settle(turn, shop, sluice, asked.checkout);
  await Promise.all([
    serve(url, settleTurn, stopping.signal, stop),
    keepHouse(shop, sluice, stopping.signal).catch((fault) => stop(`the books cannot be kept: ${fault.stack}`)),
  ]);
  page.close();
  page.closeAllConnections?.();
  await shop.close();
  return undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main(process.argv.slice(2)).catch((fault) => {
    process.stderr.write(`backend: ${fault.message}\n`);
    process.exitCode = 64;
  });
}
