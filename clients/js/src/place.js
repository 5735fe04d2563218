/**
 * One place in line: its token, where it stands, its order. `follow` keeps it fresh (see follow.js); everything else is
 * one request each. The token is renewed when it is old; an answer that says so renews it too, and is asked for once more.
 */

import { Follow } from './follow.js';
import { Problem } from './requests.js';
import { Standing } from './standing.js';

/** @typedef {import('../types/contract.js').Entry} Entry */
/** @typedef {import('../types/contract.js').Order} Order */
/** @typedef {import('../types/contract.js').Kept} Kept */

/** Who waits no longer, and has no order. @type {ReadonlySet<string>} */
const ENDED = new Set(['sold_out', 'left', 'expired', 'refused']);

export class Place {
  /** @type {Order | null} */
  order = null;
  /** @type {Follow | null} */
  #follow = null;
  /** @type {Promise<void> | null} */
  #renewing = null;
  #own;

  /**
   * @param {import('./index.js').Sluice} sluice
   * @param {{ entry: string, token: string, tokenExpiresAt: string, kept?: Kept | null }} proof
   */
  constructor(sluice, { entry, token, tokenExpiresAt, kept }) {
    this.sluice = sluice;
    this.id = entry;
    this.token = token;
    this.tokenExpiresAt = Date.parse(tokenExpiresAt) || 0;
    this.standing = new Standing(kept);
    this.orderLink = kept?.orderLink ?? null;
    this.#own = `/v1/sales/${sluice.sale}/entries/${entry}`;
  }

  /** The newest look at the entry. */
  get entry() {
    return this.standing.entry;
  }

  /** Whether it has ended without an order. */
  get isOver() {
    return ENDED.has(this.entry?.state ?? '');
  }

  /** Whether the order is kept here; a shop with an order backend of its own keeps its own, and `orderLink` leads there. */
  get hasOwnOrder() {
    const order = this.entry?.order;
    return Boolean(order && this.#ownLink?.endsWith(`/v1/orders/${order}`));
  }

  /** The order's link, if it leads to us. */
  get #ownLink() {
    const { orderLink: link, entry } = this;
    return link && this.sluice.requests.isOwn(link, entry?.links?.self) ? link : null;
  }

  /**
   * Keeps the place fresh and tells `listener` what becomes of it, until `stop()` or the end.
   *
   * @param {import('../types/contract.js').Listener} listener
   */
  follow(listener) {
    this.stop();
    this.#follow = new Follow(this, listener);
    void this.#follow.run();
  }

  stop() {
    this.#follow?.stop();
    this.#follow = null;
  }

  /** Looks now, whatever was planned. */
  wake() {
    this.#follow?.wake();
  }

  /** @param {AbortSignal} [signal] @returns {Promise<Entry>} */
  async look(signal) {
    const seen = this.standing.seen;
    const entry = await this.ask('GET', `${this.#own}?seen=${seen}`, { signal });
    this.take(entry);
    return /** @type {Entry} */ (this.entry ?? entry);
  }

  /** Gives the place up for good; after `reserved` that cancels the order. */
  async leave() {
    await this.ask('DELETE', this.#own);
    this.stop();
    this.forget();
  }

  /** @param {AbortSignal} [signal] @returns {Promise<Order>} */
  async readOrder(signal) {
    const order = await this.ask('GET', this.#order(), { signal });
    if (!this.order || order.version >= this.order.version) this.order = order;
    return /** @type {Order} */ (this.order);
  }

  /**
   * Opens a payment, or finds the one that is open. A repeat never opens a second one.
   *
   * @returns {Promise<import('../types/contract.js').Payment>} `pay_url` is absolute
   */
  async pay() {
    const payment = await this.ask('POST', `${this.#order()}/payment`);
    return { ...payment, pay_url: this.sluice.requests.url(payment.pay_url) };
  }

  /** Gives the order back before it is paid. */
  async cancel() {
    await this.ask('POST', `${this.#order()}/cancel`);
    this.wake();
  }

  /**
   * A link that takes the place to another device (`sluice.takeOver(ticket)` there), once, within five minutes.
   *
   * @returns {Promise<import('../types/contract.js').MoveOffer>} `link` is absolute
   */
  async offerMove() {
    const offer = await this.ask('POST', `${this.#own}/move`);
    return { ...offer, link: this.sluice.requests.url(offer.link) };
  }

  /** A ticket for Server-Sent Events. @param {AbortSignal} signal @returns {Promise<string>} where they are */
  async eventsLink(signal) {
    const ticket = await this.ask('POST', `${this.#own}/ticket`, { signal });
    return ticket.links.events;
  }

  /** Where the WebSocket is. */
  get pushLink() {
    return this.entry?.links?.push ?? `/v1/sales/${this.sluice.sale}/push`;
  }

  /** Takes in a look at the entry, from wherever it came. Answers whether it counts. @param {Entry} entry */
  take(entry) {
    if (entry.entry !== undefined && entry.entry !== this.id) return false;
    if (entry.token) this.#takeToken(entry.token, entry.token_expires_at);
    if (!this.standing.take(entry)) return false;
    this.orderLink = entry.links?.order ?? this.orderLink;
    this.keep();
    return true;
  }

  /** A token less than a third of whose 15 minutes is left is old. @param {number} nowMs */
  isTokenOld(nowMs) {
    return this.tokenExpiresAt - nowMs < 5 * 60_000;
  }

  /** Renews the token; several who want that at once share one renewal. @param {AbortSignal} [signal] */
  renew(signal) {
    this.#renewing ??= this.#renew(signal).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  /** @param {AbortSignal} [signal] */
  async #renew(signal) {
    const fresh = await this.sluice.requests.ask('POST', `${this.#own}/token`, {
      token: this.token,
      signal,
    });
    this.#takeToken(fresh.token, fresh.token_expires_at);
    this.keep();
  }

  /**
   * Asks with the token, and once more with a fresh one if it has expired.
   *
   * @param {string} method @param {string} link @param {{ body?: unknown, signal?: AbortSignal }} [question]
   */
  async ask(method, link, question = {}) {
    try {
      return await this.sluice.requests.ask(method, link, { ...question, token: this.token });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'token_expired') throw error;
    }
    await this.renew(question.signal);
    return this.sluice.requests.ask(method, link, { ...question, token: this.token });
  }

  /** Another tab has written: what it knows better counts here too. @param {Kept} kept */
  takeKept(kept) {
    if (Date.parse(kept.tokenExpiresAt) > this.tokenExpiresAt) {
      this.#takeToken(kept.token, kept.tokenExpiresAt);
    }
    this.standing.seen = Math.max(this.standing.seen, kept.seen);
  }

  /** Writes down what has to outlive this visit. */
  keep() {
    const { seen, version, first, position, wasStandby } = this.standing;
    const tokenExpiresAt = new Date(this.tokenExpiresAt).toISOString();
    const { token, orderLink } = this;
    this.sluice.keeper.write({
      ...{ entry: this.id, token, tokenExpiresAt, orderLink },
      ...{ seen, version, first, position, wasStandby },
    });
  }

  /** Forgets the place on this device. */
  forget() {
    if (this.sluice.keeper.read()?.entry === this.id) this.sluice.keeper.clear();
  }

  #order() {
    const link = this.#ownLink;
    if (!link) throw new Problem('wrong_state', this.orderLink ? 'The shop keeps this order.' : 'There is no order yet.');
    return link;
  }

  /** @param {string} token @param {string} expiresAt */
  #takeToken(token, expiresAt) {
    this.token = token;
    this.tokenExpiresAt = Date.parse(expiresAt) || 0;
  }
}
