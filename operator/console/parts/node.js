/**
 * What this node tells of itself: `/ready`, and those of its metrics that nobody else tells. In one process that is the whole
 * house; on shared stores it is the operator's process alone, and what others would know is `null`.
 *
 * @typedef {{ at: number, serverErrors: number | null, refusals: number | null,
 *   stores: Map<string, boolean>, providers: Map<string, boolean> }} Node
 */

const METRIC = /^([a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;
/** Answers to a join that took nobody in. */
const TAKEN_IN = new Set(["new", "found"]);

/**
 * @param {string} sale
 * @param {AbortSignal} [signal]
 * @returns {Promise<Node>}
 */
export async function look(sale, signal) {
  const response = await fetch("/metrics", { signal, cache: "no-store", credentials: "omit" });
  if (!response.ok) throw new Error(`/metrics: ${response.status}`);
  return read(await response.text(), sale, Date.now());
}

/** Whether the node says that it is ready. */
export async function isReady() {
  try {
    return (await fetch("/ready", { cache: "no-store", credentials: "omit" })).ok;
  } catch {
    return false;
  }
}

/**
 * @param {string} text
 * @param {string} sale
 * @param {number} at
 * @returns {Node}
 */
export function read(text, sale, at) {
  /** @type {Node} */
  const node = {
    at,
    serverErrors: 0,
    refusals: null,
    stores: new Map(),
    providers: new Map(),
  };
  for (const line of text.split("\n")) {
    const match = METRIC.exec(line);
    if (!match) continue;
    const [, name, list, number] = match;
    const labels = Object.fromEntries([...(list ?? "").matchAll(LABEL)].map((label) => [label[1], label[2]]));
    const value = Number(number);
    if (name === "sluice_backend_up") node.stores.set(labels.backend, value === 1);
    if (name === "sluice_provider_up") node.providers.set(labels.provider, value === 1);
    if (name === "http_requests_total" && labels.status.startsWith("5")) {
      node.serverErrors = (node.serverErrors ?? 0) + value;
    }
    if (name === "sluice_joins_total" && labels.sale === sale) {
      node.refusals = (node.refusals ?? 0) + (TAKEN_IN.has(labels.result) ? 0 : value);
    }
  }
  return node;
}
