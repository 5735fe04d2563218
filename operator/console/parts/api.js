/** The operator API: one request, one answer or one {@link Problem}. */

import { end, token } from "./session.js";

/** How long an answer may take before it counts as lost. */
const PATIENCE_MS = 20_000;

/** What the API refused, or that it could not be reached. */
export class Problem extends Error {
  /**
   * @param {number} status 0 when no answer came
   * @param {{ code?: string, detail?: string, title?: string, field?: string, retry_after_ms?: number, instance?: string }} body
   */
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.detail = body.detail ?? body.title ?? `HTTP ${status}`;
    this.field = body.field ?? null;
    this.retryAfterMs = body.retry_after_ms ?? null;
    this.instance = body.instance ?? null;
  }
}

/**
 * @typedef {{ body?: unknown, ifMatch?: number | null, reason?: string, signal?: AbortSignal, bearer?: string }} Asked
 *   `reason` is for the audit log, where the body has no place for it
 */

/**
 * Asks, and reads the answer as JSON; `null` when it has no body.
 *
 * @param {string} method
 * @param {string} path
 * @param {Asked} [asked]
 * @returns {Promise<any>}
 */
export async function ask(method, path, asked = {}) {
  const text = await askText(method, path, asked);
  return text === "" ? null : JSON.parse(text);
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export function get(path, signal) {
  return ask("GET", path, { signal });
}

/**
 * Asks, and reads the answer as it is.
 *
 * @param {string} method
 * @param {string} path
 * @param {Asked} [asked]
 */
export async function askText(method, path, asked = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), PATIENCE_MS);
  const stop = () => limit.abort();
  asked.signal?.addEventListener("abort", stop);
  try {
    const response = await send(method, path, asked, limit.signal);
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text, asked.bearer !== undefined);
    return text;
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (asked.signal?.aborted) throw new Problem(0, { code: "stopped", detail: "" });
    throw new Problem(0, { code: "unreachable" });
  } finally {
    clearTimeout(timer);
    asked.signal?.removeEventListener("abort", stop);
  }
}

/**
 * The headers every request carries.
 *
 * @param {string} [bearer]
 */
export function headers(bearer) {
  return { authorization: `Bearer ${bearer ?? token() ?? ""}` };
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Asked} asked
 * @param {AbortSignal} signal
 */
function send(method, path, asked, signal) {
  /** @type {Record<string, string>} */
  const all = headers(asked.bearer);
  if (asked.body !== undefined) all["content-type"] = "application/json";
  if (typeof asked.ifMatch === "number") all["if-match"] = `"${asked.ifMatch}"`;
  if (asked.reason) all["x-sluice-reason"] = encodeURIComponent(asked.reason);
  return fetch(path, {
    method,
    headers: all,
    body: asked.body === undefined ? undefined : JSON.stringify(asked.body),
    signal,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  });
}

/**
 * @param {number} status
 * @param {string} text
 * @param {boolean} atTheDoor whether a token is being tried, so that a refusal ends nothing
 */
export function refusal(status, text, atTheDoor) {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // Something between us and the API answered: its status has to do.
  }
  const problem = new Problem(status, body);
  if (status === 401 && !atTheDoor) end(problem.detail);
  return problem;
}
