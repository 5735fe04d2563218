/**
 * The two ways news is pushed: a WebSocket, and Server-Sent Events read by `fetch` (which tells why it was refused, and
 * works in Node). Each opens one connection and resolves when it has ended, saying how; neither ever comes back by itself.
 */

import { Problem } from './requests.js';

/** A line is told of at least every 10 s: what is silent for this long is dead, whatever the network says. */
const SILENCE_MAX_MS = 35_000;
/** How long a connection may take to bring its first word: a proxy in between may hold it back for ever. */
const FIRST_WORD_MAX_MS = 10_000;

/**
 * How a connection ended: `over` nothing is left to hear, `token` renew it first, `bye` come back after `afterMs`,
 * `crowded` too many of them, `refused` this way will not work, `broken` anything else.
 *
 * @typedef {{ how: 'over' | 'token' | 'bye' | 'crowded' | 'refused' | 'broken', afterMs?: number, heard: boolean }} Ended
 */

/**
 * What a connection brings.
 *
 * @typedef {{ entry(entry: any): void, line(line: any): void }} News
 */

/** What the close codes of the contract say. @type {Record<number, Ended['how']>} */
const CLOSED = { 4400: 'refused', 4401: 'token', 4410: 'over', 4429: 'crowded' };

/** Takes frames in, one at a time, and watches for silence. */
class Ear {
  heard = false;
  /** @type {number | undefined} */
  byeAfterMs;

  /** @param {News} news @param {() => void} silent */
  constructor(news, silent) {
    this.news = news;
    this.silent = silent;
    this.timer = setTimeout(silent, FIRST_WORD_MAX_MS);
  }

  /** A sign of life that carries nothing. */
  alive() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.silent, SILENCE_MAX_MS);
  }

  /** @param {string} text */
  hear(text) {
    this.alive();
    const frame = parsed(text);
    if (!frame) return;
    this.heard = true;
    if (frame.type === 'entry') this.news.entry(frame);
    else if (frame.type === 'line') this.news.line(frame);
    else if (frame.type === 'bye') this.byeAfterMs = Math.max(0, Number(frame.reconnect_after_ms) || 0);
  }

  /** @param {Ended['how']} how @returns {Ended} */
  end(how) {
    clearTimeout(this.timer);
    if (this.byeAfterMs === undefined || how === 'over') return { how, heard: this.heard };
    return { how: 'bye', afterMs: this.byeAfterMs, heard: this.heard };
  }
}

/**
 * Waits over a WebSocket.
 *
 * @param {{ WebSocket: typeof globalThis.WebSocket, url: string, token: string, seen: number, signal: AbortSignal, news: News }} way
 * @returns {Promise<Ended>}
 */
export function bySocket({ WebSocket, url, token, seen, signal, news }) {
  return new Promise((resolve) => {
    const target = new URL(url);
    target.protocol = target.protocol.replace('http', 'ws');
    target.searchParams.set('seen', String(seen));
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocket(target.href, ['sluice.v1', `bearer.${token}`]);
    } catch {
      return resolve({ how: 'refused', heard: false });
    }
    const ear = new Ear(news, () => end('broken'));
    /** @param {Ended['how']} how */
    const end = (how) => {
      signal.removeEventListener('abort', stopped);
      socket.onmessage = socket.onclose = socket.onerror = null;
      if (socket.readyState < 2) socket.close();
      resolve(ear.end(how));
    };
    const stopped = () => end('broken');
    signal.addEventListener('abort', stopped);
    socket.onmessage = (message) => ear.hear(String(message.data));
    socket.onclose = (closed) => end(CLOSED[closed.code] ?? 'broken');
    // A close that says why comes without an error; some clients tell of a failed opening by the error alone.
    socket.onerror = () => end('broken');
    if (signal.aborted) stopped();
  });
}

/**
 * Waits over Server-Sent Events. What refuses the connection is thrown as a `Problem`.
 *
 * @param {{ requests: import('./requests.js').Requests, url: string, seen: number, signal: AbortSignal, news: News }} way
 * @returns {Promise<Ended>}
 */
export async function byEvents({ requests, url, seen, signal, news }) {
  const target = new URL(requests.url(url));
  target.searchParams.set('seen', String(seen));
  const stopper = new AbortController();
  const stop = () => stopper.abort();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const ear = new Ear(news, stop);
  try {
    const [answer, done] = await requests.open('GET', target.href, {
      headers: { accept: 'text/event-stream' },
      signal: stopper.signal,
    });
    // The time an answer may take does not bound how long it may go on; silence does, and so does `signal`.
    done();
    await read(answer, ear, stopper.signal);
  } catch (error) {
    if (error instanceof Problem && error.status !== 0) {
      ear.end('broken');
      throw error;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return ear.end('broken');
}

/** @param {Response} answer @param {Ear} ear @param {AbortSignal} signal */
async function read(answer, ear, signal) {
  const reader = answer.body?.getReader();
  if (!reader) return;
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      ear.alive();
      text += decoder.decode(value, { stream: true });
      const events = text.split(/\r?\n\r?\n/);
      text = events.pop() ?? '';
      for (const event of events) {
        const data = event.split(/\r?\n/).filter((row) => row.startsWith('data:'));
        if (data.length) ear.hear(data.map((row) => row.slice(5).replace(/^ /, '')).join('\n'));
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame === 'object' ? frame : null;
  } catch {
    return null;
  }
}
