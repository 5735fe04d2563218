/**
 * Where a place stands, put together from looks at the entry and from what everybody is told of the line. The promise is
 * `never-backwards`: the position never rises, states and versions only move forward. No clock, no network.
 */

/** A jump of the line this small is always believed. */
const JUMP_SMALL = 20;

/** @typedef {import('../types/contract.js').Entry} Entry */
/** @typedef {import('../types/contract.js').Line} Line */

export class Standing {
  /** @type {Entry | null} */
  entry = null;
  /** The highest `serving` that was seen. */
  seen = 0;
  /** @type {number | null} */
  position = null;
  /** The position at which it was first seen. @type {number | null} */
  first = null;
  wasStandby = false;
  /** The version that was reached; an older one is ignored. */
  version = 0;
  /** A look at the entry that positions are counted on from. @type {{ position: number, serving: number } | null} */
  #base = null;
  /** @type {{ serving: number, atMs: number } | null} */
  #line = null;

  /** @param {import('../types/contract.js').Kept | null} [kept] */
  constructor(kept) {
    if (!kept) return;
    ({ seen: this.seen, position: this.position, first: this.first } = kept);
    ({ version: this.version, wasStandby: this.wasStandby } = kept);
  }

  /**
   * Takes in a look at the entry. Answers whether it counts: an older version does not.
   *
   * @param {Entry} entry
   */
  take(entry) {
    if (entry.version < this.version) return false;
    if (entry.version > this.version && entry.state !== 'waiting') this.position = null;
    this.version = entry.version;
    this.seen = Math.max(this.seen, entry.serving ?? 0);
    if (entry.position == null) {
      this.#base = null;
    } else {
      this.#base = { position: entry.position, serving: entry.serving };
      this.#reach(entry.position);
    }
    this.wasStandby ||= entry.state === 'standby';
    this.entry = { ...entry, position: entry.position == null ? null : this.position };
    return true;
  }

  /**
   * Takes in how the line stands at `nowMs`. Answers `ask` when the line has jumped further than its pace explains:
   * numbers that were never given out may lie in between, so the place must be looked at instead of counted.
   *
   * @param {Line} line
   * @param {number} nowMs
   * @returns {'moved' | 'same' | 'ask'}
   */
  takeLine(line, nowMs) {
    const before = this.#line;
    if (line.serving < this.seen) return 'same';
    this.#line = { serving: line.serving, atMs: nowMs };
    const known = before?.serving ?? this.#base?.serving ?? this.seen;
    this.seen = Math.max(this.seen, line.serving);
    if (!this.entry || !this.#base || this.entry.state !== 'waiting') return 'same';
    const seconds = Math.max(1, before ? (nowMs - before.atMs) / 1000 : 1);
    const explained = Math.max(JUMP_SMALL, 3 * line.rate_per_second * seconds);
    if (line.serving - known > explained) {
      this.#base = null;
      return 'ask';
    }
    const moved = this.#reach(this.#base.position - (line.serving - this.#base.serving));
    if (!moved) return 'same';
    this.entry = { ...this.entry, position: this.position, eta_seconds: this.#eta() };
    return 'moved';
  }

  /** @param {number} position */
  #reach(position) {
    const reached = Math.max(1, Math.min(position, this.position ?? Infinity));
    const moved = reached !== this.position;
    this.position = reached;
    this.first = Math.max(this.first ?? 0, reached);
    return moved;
  }

  /** What was forecast, less what has come true since. */
  #eta() {
    const { eta_seconds: eta, position: before } = /** @type {Entry} */ (this.entry);
    if (!eta || !before || !this.position) return eta;
    const left = this.position / before;
    return { p50: eta.p50 * left, p90: eta.p90 * left };
  }
}
