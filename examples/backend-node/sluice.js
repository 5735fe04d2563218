// Talks to Sluice's operator address: reports outcomes, later states, and what is left.

import { setTimeout as sleep } from 'node:timers/promises';

const ANSWER_MS = 5_000;
// Tries of one report; the pauses between them add up to less than Sluice's own patience (outcome_timeout_seconds, 60).
const TRIES = 7;
const PAUSE_MS_MAX = 8_000;

/** No answer: it may or may not have been recorded. Saying the same again is harmless. */
export class Unsure extends Error {}

/** An answer that saying it again will not change. */
export class Refused extends Error {
  constructor(status, detail) {
    super(`${status}: ${detail}`);
    this.status = status;
  }
}

/** Every method may be repeated, and is, until there is an answer. */
export class Sluice {
  #url;
  #headers;

  constructor(url, token) {
    this.#url = new URL(url);
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  }

  /** Reports what an entry came to. Refused with 409 when it came to something else before: the first one stands. */
  outcome(entry, report) {
    return this.#repeat('POST', `/v1/turns/${encodeURIComponent(entry)}/outcome`, report);
  }

  /** Reports that an order was paid, or closed. */
  state(entry, order, state) {
    return this.outcome(entry, { order, state });
  }

  /** Says how many units can still be sold: the pace of the line follows it. */
  remaining(sale, sku, units) {
    const path = `/v1/sales/${encodeURIComponent(sale)}/skus/${encodeURIComponent(sku)}/remaining`;
    return this.#repeat('PUT', path, { remaining: units });
  }

  async #repeat(method, path, body) {
    let pause = 250;
    for (let left = TRIES - 1; ; left -= 1) {
      try {
        return await this.#once(method, path, body);
      } catch (fault) {
        if (fault instanceof Refused) throw fault;
        if (left === 0) throw new Unsure(`${method} ${path} had no answer in ${TRIES} tries: ${fault.message}`);
      }
      await sleep(Math.random() * pause);
      pause = Math.min(pause * 2, PAUSE_MS_MAX);
    }
  }

  async #once(method, path, body) {
    const answer = await fetch(new URL(path, this.#url), {
      method,
      headers: this.#headers,
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await answer.text();
    if ([408, 429].includes(answer.status) || answer.status >= 500) throw new Unsure(`${answer.status}`);
    const told = parsed(text);
    if (!answer.ok) throw new Refused(answer.status, told.detail ?? 'no explanation');
    return told;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
