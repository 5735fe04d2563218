/**
 * The statistics stream. A browser's own event source cannot carry a header, and a token has no business in an address, so
 * the stream is read by hand; it comes back by itself, ever more slowly, for as long as the screen is there.
 *
 * @typedef {{ onStats: (stats: any) => void, onSilence: (why: "lost" | "ledger", detail: string) => void, onGone: () => void }} Follower
 */

import { Problem, headers, refusal } from "./api.js";

/** A frame comes each second: after this long without a byte the connection counts as dead. */
const SILENCE_MS = 6_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 8_000;
/** No frame is nearly as long. */
const FRAME_CHARS_MAX = 1_000_000;

/**
 * Follows a sale until the returned function is called.
 *
 * @param {string} sale
 * @param {Follower} follower
 * @returns {() => void}
 */
export function follow(sale, follower) {
  const over = new AbortController();
  void keepFollowing(`/v1/sales/${encodeURIComponent(sale)}/stats/stream`, follower, over.signal);
  return () => over.abort();
}

/**
 * @param {string} path
 * @param {Follower} follower
 * @param {AbortSignal} over
 */
async function keepFollowing(path, follower, over) {
  let wait = RETRY_MIN_MS;
  while (!over.aborted) {
    let detail = "";
    try {
      const end = await read(path, over, (name, data) => {
        wait = RETRY_MIN_MS;
        if (name === "stats") follower.onStats(JSON.parse(data));
        if (name === "silence") follower.onSilence("ledger", "");
      });
      if (end === "gone") return follower.onGone();
    } catch (error) {
      if (over.aborted) return;
      const status = /** @type {any} */ (error)?.status;
      if (status === 401) return;
      if (status === 404) return follower.onGone();
      // Such as that too many streams are open: it is said, and tried again.
      if (error instanceof Problem) detail = error.detail;
    }
    if (over.aborted) return;
    follower.onSilence("lost", detail);
    await rest(wait * (0.5 + Math.random() / 2), over);
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  }
}

/**
 * Reads one connection to its end.
 *
 * @param {string} path
 * @param {AbortSignal} over
 * @param {(name: string, data: string) => void} onFrame
 * @returns {Promise<"gone" | "ended">}
 */
async function read(path, over, onFrame) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  over.addEventListener("abort", stop);
  let timer = setTimeout(stop, SILENCE_MS);
  try {
    const response = await fetch(path, {
      headers: { ...headers(), accept: "text/event-stream" },
      signal: silence.signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    if (!response.ok || !response.body) throw refusal(response.status, await response.text(), false);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let left = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || over.aborted) return "ended";
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS);
      const frames = (left + value).split("\n\n");
      left = frames.pop() ?? "";
      if (left.length > FRAME_CHARS_MAX) return "ended";
      for (const frame of frames) {
        const { name, data } = parse(frame);
        if (name === "gone") return "gone";
        if (name === "bye") return "ended";
        if (!over.aborted) onFrame(name, data);
      }
    }
  } finally {
    clearTimeout(timer);
    over.removeEventListener("abort", stop);
    silence.abort();
  }
}

/**
 * @param {string} frame
 */
function parse(frame) {
  // A comment instead of figures: the node is there, and the ledger does not answer it.
  if (frame.startsWith(":")) return { name: "silence", data: "" };
  let name = "message";
  const data = [];
  for (const line of frame.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return { name, data: data.join("\n") };
}

/**
 * @param {number} ms
 * @param {AbortSignal} over
 */
function rest(ms, over) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, undefined);
    over.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
