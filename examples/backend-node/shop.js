// The shop's own books: stock, orders, and what Sluice has yet to be told. In memory, and in a journal that is only ever
// appended to: a record is on disk before anybody hears of it, and the journal is read back at the start.
//
// Everything here happens once per entry, however often a turn is delivered. There is one thread and nothing waits between
// looking and deciding, so nothing comes in between.

import { randomUUID } from 'node:crypto';
import { open, readFile, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';

/** One turn: what a message asks for. `items` is a Map of SKU to quantity. */
/** One decision: `{entry, sale, buyer, items, outcome, order, payBy}`; the same for every delivery of its turn. */

export class Shop {
  #file;
  #lock;
  #paymentWindowSeconds;
  /** `sale/sku` to units. */
  #stock = new Map();
  /** Entry to its decision, with `state` (open, paid, closed, none), `settled`, and `told`, the state Sluice was told last. */
  #decisions = new Map();
  /** Order to entry. */
  #orders = new Map();
  /** `sale buyer` to the entry of the buyer's live order. */
  #live = new Map();
  #lines = [];
  #last = Promise.resolve();
  #next = null;

  /** Opens the books of a file, alone: another process that has them open is an error. */
  static async open(path, paymentWindowSeconds) {
    const shop = new Shop();
    shop.#paymentWindowSeconds = paymentWindowSeconds;
    shop.#lock = await lock(`${path}.lock`);
    shop.#file = await open(path, 'a+');
    const text = await readFile(path, 'utf8');
    // What a crash has cut off was never heard of by anybody.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    await shop.#file.truncate(Buffer.byteLength(whole));
    for (const line of whole.split('\n').filter(Boolean)) shop.#apply(JSON.parse(line));
    return shop;
  }

  async close() {
    await this.#flush();
    await this.#file.close();
    await new Promise((closed) => this.#lock.close(closed));
  }

  /** Says how much there is of a SKU, the first time it is named. */
  async stockUp(sale, sku, units) {
    if (!this.#stock.has(`${sale}/${sku}`)) await this.#record({ kind: 'stock', sale, sku, units });
  }

  /** Sets the goods aside, all or none; or says why not. A repeat returns what was decided first. */
  async decide(turn) {
    const known = this.#decisions.get(turn.entry);
    if (known) await this.#flush();
    else await this.#record({ kind: 'decided', ...this.#decision(turn) });
    return this.#decisions.get(turn.entry);
  }

  /** Takes the money for an order that still stands. True for a repeat as well. */
  async pay(order) {
    const decision = this.#decisions.get(this.#orders.get(order));
    if (decision?.state === 'open') await this.#record({ kind: 'state', entry: decision.entry, state: 'paid' });
    return decision?.state === 'paid';
  }

  /** Closes the orders nobody paid in time, and gives their goods back. */
  async closeDue() {
    const now = Date.now();
    const due = [...this.#decisions.values()].filter(({ state, payBy }) => state === 'open' && Date.parse(payBy) < now);
    await Promise.all(due.map(({ entry }) => this.#record({ kind: 'state', entry, state: 'closed' })));
    return due.length;
  }

  /** Sluice has taken the outcome. */
  async settled(entry) {
    await this.#record({ kind: 'settled', entry });
  }

  /** Sluice holds to another outcome of this entry: what was set aside for it goes back, and need not be told. */
  async withdraw(entry) {
    const decision = this.#decisions.get(entry);
    if (decision.state === 'open') await this.#record({ kind: 'state', entry, state: 'closed' });
    await this.told(entry, decision.state);
  }

  /** Decisions on orders whose end Sluice has not heard of. */
  untold() {
    const ended = ({ settled, state, told }) => settled && state !== told && state !== 'none';
    return [...this.#decisions.values()].filter(ended).slice(0, 100);
  }

  async told(entry, state) {
    await this.#record({ kind: 'told', entry, state });
  }

  /** `[sale, sku, units]` of everything. */
  remaining() {
    return [...this.#stock].map(([place, units]) => [...place.split('/'), units]);
  }

  #decision({ entry, sale, buyer, items }) {
    const left = ([sku, quantity]) => (this.#stock.get(`${sale}/${sku}`) ?? 0) >= quantity;
    const made = { entry, sale, buyer, items: [...items] };
    if (this.#live.has(`${sale} ${buyer}`)) return { ...made, outcome: 'refused' };
    if (!made.items.every(left)) return { ...made, outcome: 'sold_out' };
    const payBy = new Date(Date.now() + this.#paymentWindowSeconds * 1000).toISOString();
    return { ...made, outcome: 'reserved', order: randomUUID(), payBy };
  }

  /** Applies a record in memory, and puts it on disk. */
  #record(record) {
    this.#apply(record);
    this.#lines.push(JSON.stringify(record));
    return this.#flush();
  }

  #apply({ kind, ...record }) {
    const decision = this.#decisions.get(record.entry);
    switch (kind) {
      case 'stock':
        this.#stock.set(`${record.sale}/${record.sku}`, record.units);
        break;
      case 'decided':
        this.#decisions.set(record.entry, { ...record, state: 'none', settled: false, told: 'open' });
        if (record.outcome === 'reserved') this.#reserve(this.#decisions.get(record.entry));
        break;
      case 'state':
        decision.state = record.state;
        if (record.state === 'closed') this.#giveBack(decision);
        break;
      case 'settled':
        decision.settled = true;
        break;
      case 'told':
        decision.told = record.state;
        break;
      default:
        throw new Error(`the books hold a record of a later version: ${kind}`);
    }
  }

  #reserve(decision) {
    decision.state = 'open';
    this.#orders.set(decision.order, decision.entry);
    this.#live.set(`${decision.sale} ${decision.buyer}`, decision.entry);
    this.#move(decision, -1);
  }

  #giveBack(decision) {
    this.#live.delete(`${decision.sale} ${decision.buyer}`);
    this.#move(decision, 1);
  }

  #move({ sale, items }, sign) {
    for (const [sku, quantity] of items) {
      const place = `${sale}/${sku}`;
      this.#stock.set(place, this.#stock.get(place) + sign * quantity);
    }
  }

  /**
   * Resolves once all that was recorded so far is on disk. Whoever comes while a write is under way goes with the next
   * one. A write that failed fails all that come after it: the books are closed then.
   */
  #flush() {
    this.#next ??= this.#last = this.#last.then(async () => {
      this.#next = null;
      const lines = this.#lines.splice(0);
      if (lines.length === 0) return;
      await this.#file.appendFile(`${lines.join('\n')}\n`);
      await this.#file.datasync();
    });
    return this.#next;
  }
}

/** A lock that ends with its process, however that ends: a socket somebody listens at. */
async function lock(path) {
  const listen = () =>
    new Promise((taken, failed) => {
      const server = createServer((socket) => socket.destroy()).once('error', failed);
      server.listen(path, () => taken(server.unref()));
    });
  const answers = () =>
    new Promise((answer) => {
      const socket = connect(path, () => answer(true)).on('error', () => answer(false));
      socket.unref();
    });
  try {
    return await listen();
  } catch (fault) {
    if (fault.code !== 'EADDRINUSE') throw fault;
    if (await answers()) throw new Error(`another process has these books open (${path})`);
    await unlink(path);
    return listen();
  }
}
