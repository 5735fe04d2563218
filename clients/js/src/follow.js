/**
 * Keeping a place fresh: by WebSocket first, by Server-Sent Events where that is blocked, by polling where nothing else
 * works, and back up again when it does. Then, once there is an order, by asking for it. The place itself is never given
 * up here: whatever fails is tried again, at the pace the server asks for.
 */

import { Nap, pause, pollPause } from './pace.js';
import { Problem } from './requests.js';
import { byEvents, bySocket } from './wires.js';

/** @typedef {import('../types/contract.js').Connection} Connection */
/** @typedef {'socket' | 'events' | 'poll'} Way */

/** Connections in a row that bring no word before the next way is taken. */
const FRUITLESS_MAX = 2;
/** How long polling goes on before push is tried again. */
const CLIMB_AFTER_MS = 120_000;
/** Longest wait that a `bye` may ask for. */
const BYE_MAX_MS = 60_000;
/** How often positions are written down at most. */
const KEEP_EVERY_MS = 2_000;

/** What makes a place unprovable for good. */
const LOST = new Set(['bad_token', 'token_expired', 'wrong_entry', 'no_such_entry', 'no_such_sale', 'banned', 'moved']);

/** When an order is asked for again; never for those that do not change by themselves. @type {Record<string, number>} */
const ORDER_AFTER_MS = {
  ...{ awaiting_payment: 4_000, closing: 2_000, paid: 2_000, fulfilling: 3_000 },
  ...{ failed: 5_000, refunding: 5_000, changing: 3_000 },
};

export class Follow {
  /** @type {Way} */
  #way;
  #stopper = new AbortController();
  #nap = new Nap();
  #freshNap = new Nap();
  /** Ends the connection there is. @type {AbortController | null} */
  #wire = null;
  #fruitless = 0;
  #fails = 0;
  #climbAt = 0;
  #keptAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #asking;
  /** @type {(() => void)[]} */
  #unhook = [];

  /** @param {import('./place.js').Place} place @param {import('../types/contract.js').Listener} listener */
  constructor(place, listener) {
    this.place = place;
    this.listener = listener;
    this.#way = place.sluice.WebSocket ? 'socket' : 'events';
  }

  get #signal() {
    return this.#stopper.signal;
  }

  get #random() {
    return this.place.sluice.random;
  }

  /** Whether it still waits for an outcome. */
  get #isWaiting() {
    const state = this.place.entry?.state;
    return state === undefined || state === 'waiting' || state === 'called' || state === 'standby';
  }

  async run() {
    this.#hook();
    try {
      while (!this.#signal.aborted && this.#isWaiting) await this.#step();
      while (!this.#signal.aborted && this.place.hasOwnOrder) await this.#orderStep();
    } finally {
      this.stop();
    }
  }

  stop() {
    this.#stopper.abort();
    clearTimeout(this.#asking);
    for (const unhook of this.#unhook.splice(0)) unhook();
  }

  /** Looks now. */
  wake() {
    this.#nap.wake();
    this.#freshNap.wake();
  }

  async #step() {
    if (this.place.isTokenOld(this.place.sluice.now()) && !(await this.#try(() => this.place.renew(this.#signal)))) return;
    if (this.#way === 'poll') return this.#poll();
    if (!this.place.entry && !(await this.#look())) return;
    this.#wire = new AbortController();
    const wire = this.#wire.signal;
    const stop = () => this.#wire?.abort();
    this.#signal.addEventListener('abort', stop);
    try {
      void this.#keepFresh(wire);
      await this.#ended(await this.#push(this.#way, wire));
    } catch (error) {
      await this.#refused(error);
    } finally {
      this.#wire?.abort();
      this.#signal.removeEventListener('abort', stop);
    }
  }

  /** @param {Way} way @param {AbortSignal} signal */
  async #push(way, signal) {
    const { place } = this;
    const { sluice, token, standing } = place;
    const live = () => this.#tell({ state: 'live', by: way });
    /** @type {import('./wires.js').News} */
    const news = {
      entry: (entry) => (live(), this.#entry(entry)),
      line: (line) => (live(), this.#line(line)),
    };
    if (way === 'socket') {
      const WebSocket = /** @type {typeof globalThis.WebSocket} */ (sluice.WebSocket);
      const url = sluice.requests.url(place.pushLink);
      return bySocket({ WebSocket, url, token, seen: standing.seen, signal, news });
    }
    const url = await place.eventsLink(signal);
    return byEvents({ requests: sluice.requests, url, seen: standing.seen, signal, news });
  }

  /** @param {import('./wires.js').Ended} ended */
  async #ended({ how, afterMs, heard }) {
    if (this.#signal.aborted) return;
    if (heard) this.#fruitless = 0;
    if (how === 'bye') {
      const after = Math.min(afterMs ?? 0, BYE_MAX_MS);
      this.#tell({ state: 'reconnecting', by: this.#way, retryInMs: after });
      await this.#nap.sleep(after, this.#signal);
      return;
    }
    if (how === 'token') {
      this.#fruitless += 1;
      await this.#try(() => this.place.renew(this.#signal));
      if (this.#fruitless > FRUITLESS_MAX) this.#down('poll');
      return;
    }
    if (how === 'over' || how === 'crowded') this.#down('poll');
    else if (how === 'refused' || (!heard && (this.#fruitless += 1) >= FRUITLESS_MAX)) this.#down();
    if (how === 'broken') {
      this.#tell({ state: this.#offline() ? 'offline' : 'reconnecting', by: this.#way });
      await this.#nap.sleep(pause(this.#fruitless, undefined, this.#random), this.#signal);
    }
    if (!this.#signal.aborted) await this.#look();
  }

  /** Push was refused in words. @param {unknown} error */
  async #refused(error) {
    if (this.#signal.aborted) return;
    if (error instanceof Problem && error.status === 401) {
      this.#fruitless += 1;
      if (this.#fruitless <= FRUITLESS_MAX) {
        await this.#try(() => this.place.renew(this.#signal));
        return;
      }
    }
    this.#down('poll');
    await this.#failed(error);
    // It was push that failed, not looking: that goes on at the pace the server asks for.
    this.#fails = 0;
  }

  /** Takes the next way. @param {Way} [way] */
  #down(way) {
    this.#way = way ?? (this.#way === 'socket' ? 'events' : 'poll');
    this.#fruitless = 0;
    this.#climbAt = Date.now() + CLIMB_AFTER_MS * (1 + this.#random() / 2);
  }

  async #poll() {
    const failedBefore = this.#fails > 0;
    if (!(await this.#look())) return;
    if (failedBefore || Date.now() >= this.#climbAt) {
      // Somebody answers again: push may work too. One failure is enough to come back here.
      this.#way = this.place.sluice.WebSocket ? 'socket' : 'events';
      this.#fruitless = FRUITLESS_MAX - 1;
      if (failedBefore) return;
    }
    if (!this.#isWaiting) return;
    await this.#nap.sleep(pollPause(this.place.entry?.poll_after_ms ?? 0, this.#random), this.#signal);
  }

  /** Looks at the entry; what fails is told, and waited for. */
  #look() {
    return this.#try(async () => {
      const entry = await this.place.look(this.#signal);
      this.#tell({ state: entry.stale ? 'unavailable' : this.#way === 'poll' ? 'polling' : 'reconnecting', by: this.#way });
      this.listener.entry?.(entry);
    });
  }

  /** While push is on: the forecast and the odds come by looking, rarely, and so does whatever push may have lost. */
  async #keepFresh(/** @type {AbortSignal} */ wire) {
    for (;;) {
      await this.#freshNap.sleep(this.#freshAfterMs() * (0.9 + this.#random() / 5), wire);
      if (wire.aborted || this.#signal.aborted) return;
      try {
        if (this.place.isTokenOld(this.place.sluice.now())) await this.place.renew(wire);
        const entry = await this.place.look(wire);
        if (wire.aborted) return;
        this.listener.entry?.(entry);
        // Push may be as silent as the dead: it ends with the wait.
        if (!this.#isWaiting) this.#wire?.abort();
      } catch (error) {
        if (wire.aborted) return;
        if (error instanceof Problem && LOST.has(error.code)) return this.#lost(error);
        await this.#freshNap.sleep(pause(3, error instanceof Problem ? error.retryAfterMs : 0, this.#random), wire);
      }
    }
  }

  /** When a look is due though push is on: a quarter of the wait that is left, within bounds. */
  #freshAfterMs() {
    const { state, eta_seconds: eta, poll_after_ms: told } = this.place.entry ?? {};
    if (state === 'called') return 5_000;
    // What is offered is pushed; nobody knows when.
    if (state === 'standby') return Math.max(60_000, told ?? 0);
    return Math.min(120_000, Math.max(15_000, (eta?.p50 ?? 60) * 250));
  }

  async #orderStep() {
    /** @type {import('../types/contract.js').Order | undefined} */
    let order;
    await this.#try(async () => {
      order = await this.place.readOrder(this.#signal);
      this.#tell({ state: 'polling', by: 'poll' });
      this.listener.order?.(order);
    });
    if (!order || this.#signal.aborted) return;
    const after = ORDER_AFTER_MS[order.state];
    await this.#nap.sleep(after ? pollPause(after, this.#random) : 2 ** 31 - 1, this.#signal);
  }

  /** Runs `ask`; answers whether it worked. What fails is told and waited for. @param {() => Promise<unknown>} ask */
  async #try(ask) {
    try {
      await ask();
      this.#fails = 0;
      return true;
    } catch (error) {
      await this.#failed(error);
      return false;
    }
  }

  /** @param {unknown} error */
  async #failed(error) {
    if (this.#signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    if (LOST.has(error.code)) return this.#lost(error);
    const after = pause(this.#fails, error.retryAfterMs, this.#random);
    this.#fails += 1;
    const state = error.status === 429 ? 'limited' : error.status >= 500 ? 'unavailable' : 'reconnecting';
    this.#tell({ state: this.#offline() ? 'offline' : state, by: this.#way, retryInMs: after });
    await this.#nap.sleep(after, this.#signal);
  }

  /** @param {Problem} problem */
  #lost(problem) {
    const { place } = this;
    const kept = place.sluice.keeper.read();
    // Another tab of this browser has taken it over.
    const newer = kept?.entry === place.id && Date.parse(kept.tokenExpiresAt) > place.tokenExpiresAt;
    if (problem.code === 'moved' && newer) return place.takeKept(kept);
    this.stop();
    if (problem.code !== 'banned') place.forget();
    this.listener.lost?.(problem);
  }

  /** @param {import('../types/contract.js').Entry} entry */
  #entry(entry) {
    if (!this.place.take(entry)) return;
    this.listener.entry?.(/** @type {import('../types/contract.js').Entry} */ (this.place.entry));
    if (!this.#isWaiting) this.#wire?.abort();
  }

  /** @param {import('../types/contract.js').Line} line */
  #line(line) {
    this.listener.line?.(line);
    const took = this.place.standing.takeLine(line, Date.now());
    if (took === 'ask' && this.#asking === undefined) {
      // Everybody in the line has seen the same jump: not all at once.
      this.#asking = setTimeout(
        () => ((this.#asking = undefined), this.#freshNap.wake()),
        this.#random() * (this.place.entry?.poll_after_ms ?? 2_000),
      );
    }
    if (took !== 'moved') return;
    this.listener.entry?.(/** @type {import('../types/contract.js').Entry} */ (this.place.entry));
    if (Date.now() - this.#keptAt > KEEP_EVERY_MS) {
      this.#keptAt = Date.now();
      this.place.keep();
    }
  }

  /** @param {Connection} connection */
  #tell(connection) {
    if (!this.#signal.aborted) this.listener.connection?.(connection);
  }

  #offline() {
    return globalThis.navigator?.onLine === false;
  }

  /** In a browser: what the network, the person and other tabs do. */
  #hook() {
    const { keeper } = this.place.sluice;
    this.#unhook.push(
      keeper.watch((kept) => {
        if (kept?.entry === this.place.id) this.place.takeKept(kept);
        // Another tab has left the line, or joined it anew: look what has become of this place.
        else this.wake();
      }),
    );
    if (typeof globalThis.addEventListener !== 'function' || typeof document === 'undefined') return;
    /** @param {EventTarget} target @param {string} name @param {(event: Event) => void} heard */
    const on = (target, name, heard) => {
      target.addEventListener(name, heard);
      this.#unhook.push(() => target.removeEventListener(name, heard));
    };
    on(globalThis, 'offline', () => this.#tell({ state: 'offline', by: this.#way }));
    on(globalThis, 'online', () => {
      // A connection from before may be dead without knowing it.
      this.#wire?.abort();
      this.wake();
    });
    on(globalThis, 'pageshow', (event) => {
      if (/** @type {PageTransitionEvent} */ (event).persisted) this.wake();
    });
    on(globalThis, 'pagehide', () => this.#isWaiting && this.place.keep());
    on(document, 'visibilitychange', () => document.visibilityState === 'visible' && this.wake());
  }
}
