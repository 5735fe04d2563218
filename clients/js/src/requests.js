/**
 * One way to ask, and one way to be refused: every refusal, and every failure to reach anybody, is a `Problem`.
 */

import { retryAfterMs } from './pace.js';

/** How long an answer may take, in milliseconds. A join may take the server 5 s. */
const TIMEOUT_MS = 12_000;

/** A refusal (RFC 9457), or `unreachable` when there was no answer at all. */
export class Problem extends Error {
  /**
   * @param {string} code such as `too_many_requests`
   * @param {string} detail
   * @param {{ status?: number, retryAfterMs?: number, field?: string, cause?: unknown }} [more]
   */
  constructor(code, detail, more = {}) {
    super(detail, { cause: more.cause });
    this.name = 'Problem';
    this.code = code;
    /** 0 when there was no answer. */
    this.status = more.status ?? 0;
    /** When it is worth another try, if somebody said. */
    this.retryAfterMs = more.retryAfterMs;
    /** The offending field of the body, if one was named. */
    this.field = more.field;
  }

  /** Whether the same request may do better later. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @typedef {object} Question
 * @property {string} [token]
 * @property {unknown} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/** Asks one deployment. */
export class Requests {
  /**
   * @param {string} base
   * @param {typeof globalThis.fetch} fetch
   * @param {Record<string, string>} headers sent with every request
   * @param {string} orders where orders are kept; '' is `base`
   */
  constructor(base, fetch, headers, orders = '') {
    this.base = base;
    this.fetch = fetch;
    this.headers = headers;
    this.orders = orders;
  }

  /** An address of the contract, or a link of an answer, as one that can be fetched. @param {string} link */
  url(link) {
    const here = /** @type {{ location?: Location }} */ (globalThis).location?.href;
    return new URL(link, this.base ? `${this.base}/` : here).href;
  }

  /**
   * Whether a link leads to the deployment itself, by its origin; what else looks like one of ours is somebody else's, and
   * the token is not for it.
   *
   * @param {string} link
   * @param {string} [self] another link of the deployment, from the same answer
   */
  isOwn(link, self = '') {
    try {
      const { origin } = new URL(this.url(link));
      return ['/', this.orders || '/', self || '/'].some((own) => new URL(this.url(own)).origin === origin);
    } catch {
      return false;
    }
  }

  /**
   * Asks, and answers the body.
   *
   * @param {string} method
   * @param {string} link
   * @param {Question} [question]
   * @returns {Promise<any>} `null` when there is none
   */
  async ask(method, link, question = {}) {
    const [answer, done] = await this.open(method, link, question);
    try {
      if (answer.status === 204) return null;
      return await answer.json();
    } catch (cause) {
      throw new Problem('unreachable', 'The answer broke off.', { cause });
    } finally {
      done();
    }
  }

  /**
   * Asks, and answers once the headers are here. Whoever reads the body says `done` when it has been read.
   *
   * @param {string} method
   * @param {string} link
   * @param {Question} question
   * @returns {Promise<[Response, () => void]>}
   */
  async open(method, link, { token, body, headers, signal }) {
    const stopper = new AbortController();
    const stop = () => stopper.abort();
    const timer = setTimeout(stop, TIMEOUT_MS);
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    };
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    try {
      const answer = await this.fetch(this.url(link), {
        method,
        headers: {
          ...this.headers,
          ...headers,
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'include',
        signal: stopper.signal,
      });
      if (answer.ok) return [answer, done];
      throw await refusal(answer);
    } catch (cause) {
      done();
      if (cause instanceof Problem) throw cause;
      throw new Problem('unreachable', 'Nobody answered.', { cause });
    }
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  /** @type {any} */
  let told = {};
  try {
    told = await answer.json();
  } catch {
    // A proxy in between refuses in its own words.
  }
  const after = told?.retry_after_ms;
  return new Problem(told?.code ?? `http_${answer.status}`, told?.detail ?? answer.statusText, {
    status: answer.status,
    retryAfterMs: Number.isFinite(after) ? after : retryAfterMs(answer.headers.get('retry-after')),
    field: told?.field,
  });
}
