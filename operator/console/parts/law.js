/** The rate law, as the page shows it: turns per second at a policy and so many units remaining. */

/**
 * @typedef {{ fraction: number, ceiling_per_second: number, tail_per_second: number, multiplier: number }} Law
 */

/**
 * @param {Law} policy
 * @param {number} remaining
 */
export function rate(policy, remaining) {
  if (remaining <= 0) return 0;
  const share = Math.min(policy.fraction * remaining, policy.ceiling_per_second);
  return Math.max(share, policy.tail_per_second) * policy.multiplier;
}

/** More than so many times as fast is no fine tuning. */
const RUSH = 2;

/**
 * Whether a policy stops the line, or moves it much faster than the one before: what is to be done with a reason. One that
 * lets a line go on that stood by the multiplier is compared with the pace it stood at.
 *
 * @param {Law} before
 * @param {Law} after
 * @param {number} remaining
 */
export function isDrastic(before, after, remaining) {
  if (after.multiplier === 0) return before.multiplier !== 0;
  return rate(after, remaining) > RUSH * rate({ ...before, multiplier: before.multiplier || 1 }, remaining);
}

/**
 * The share of the law that is held back, 0 to 1; `null` when nothing can be said: nobody spoke, or the line stands by an
 * operator's word. Less than a twentieth is a difference of moments, not of pressure.
 *
 * @param {any} stats
 * @param {number | null} law
 */
export function heldBack(stats, law) {
  const wanted = stats.rate.wanted_per_second;
  if (stats.state !== "open" || wanted === null || law === null || law <= 0) return null;
  const share = 1 - wanted / law;
  return share < 0.05 ? 0 : Math.min(share, 1);
}
