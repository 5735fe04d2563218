/**
 * What the stream has told lately, a sale at a time: what the charts of the last minutes are drawn from. It outlives a
 * change of screen, so that going to tune and back loses nothing.
 *
 * @typedef {{ at: number, waiting: number, arrivals: number | null, wanted: number | null, actual: number | null,
 *   law: number | null, remaining: number, p50: number | null, p95: number | null, queue: number | null }} Sample
 */

/** Half an hour at one a second. */
const SAMPLES_MAX = 1_800;
const SALES_MAX = 8;

/** @type {Map<string, Sample[]>} */
const bySale = new Map();

/**
 * @param {string} sale
 * @returns {readonly Sample[]}
 */
export function samples(sale) {
  return bySale.get(sale) ?? [];
}

/**
 * Adds what a frame of the stream says. The oldest sale is forgotten for a new one beyond the most.
 *
 * @param {any} stats
 * @param {number | null} law turns per second by the law alone
 */
export function note(stats, law) {
  let kept = bySale.get(stats.sale);
  if (!kept) {
    if (bySale.size >= SALES_MAX) bySale.delete(/** @type {string} */ (bySale.keys().next().value));
    bySale.set(stats.sale, (kept = []));
  }
  const at = Date.parse(stats.now);
  if (kept.length > 0 && at <= kept[kept.length - 1].at) return;
  const seconds = (/** @type {number | null} */ ms) => (ms === null ? null : ms / 1000);
  kept.push({
    at,
    waiting: stats.line.waiting,
    arrivals: stats.arrivals_per_second,
    wanted: stats.rate.wanted_per_second,
    actual: stats.rate.actual_per_second,
    law,
    remaining: stats.remaining,
    p50: seconds(stats.waits.p50_ms),
    p95: seconds(stats.waits.p95_ms),
    queue: stats.turn_queue_depth,
  });
  if (kept.length > SAMPLES_MAX) kept.shift();
}

/**
 * @param {string} sale
 */
export function forget(sale) {
  bySale.delete(sale);
}
