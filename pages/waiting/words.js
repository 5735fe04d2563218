/** Sentences in the person's language, and numbers, times and money as that language writes them. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;

export class Words {
  /** @param {Record<string, string>} texts @param {string} language */
  constructor(texts, language) {
    this.texts = texts;
    this.language = language;
    this.number = new Intl.NumberFormat(language);
    this.list = new Intl.ListFormat(language);
    this.clock = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  say(key, values = {}) {
    const text = this.texts[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      return typeof value === 'number' ? this.number.format(value) : (value ?? whole);
    });
  }

  /**
   * A sentence of a stretch, by the names of its stops.
   *
   * @param {string} key @param {string[]} stops @param {number} from @param {number} to @param {Record<string, string>} [more]
   */
  stretch(key, stops, from, to, more) {
    return this.say(key, { from: stops[from] ?? '', to: stops[to] ?? '', ...more });
  }

  /**
   * A forecast as an honest range: never narrower than it is, never finer than anybody can know.
   *
   * @param {{ p50: number, p90: number } | null | undefined} eta seconds
   */
  wait(eta) {
    if (!eta) return this.say('wait.unknown');
    const late = Math.max(eta.p50, eta.p90);
    if (late < MINUTE) return this.say('wait.moment');
    const [unit, size] = late < 90 * MINUTE ? ['minute', MINUTE] : ['hour', HOUR];
    const from = Math.max(1, Math.floor(eta.p50 / size));
    const to = Math.ceil(late / size);
    const style = { style: 'unit', unit, unitDisplay: 'long' };
    const last = new Intl.NumberFormat(this.language, /** @type {Intl.NumberFormatOptions} */ (style)).format(to);
    return from === to ? this.say('wait.about', { to: last }) : this.say('wait.range', { from, to: last });
  }

  /** @param {number} amountFen @param {string} currency */
  money(amountFen, currency) {
    const format = new Intl.NumberFormat(this.language, { style: 'currency', currency });
    // Amounts are in the smallest unit, of which some currencies have none and some a thousand.
    return format.format(amountFen / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
  }

  /** @param {string} at RFC 3339 */
  when(at) {
    return this.clock.format(new Date(at));
  }

  /** `1:02:03`, and days in front where there are some. @param {number} ms */
  countdown(ms) {
    const seconds = Math.max(0, Math.ceil(ms / 1000));
    const parts = [seconds / HOUR, (seconds % HOUR) / MINUTE, seconds % MINUTE].map(Math.floor);
    if (seconds < HOUR) parts.shift();
    return parts.map((part, n) => String(part).padStart(n ? 2 : 1, '0')).join(':');
  }

  /** The operator's notice in the language nearest to the person's. @param {Record<string, string> | null | undefined} notice */
  notice(notice) {
    if (!notice) return null;
    const tags = Object.keys(notice);
    const main = (/** @type {string} */ tag) => tag.toLowerCase().split('-')[0];
    const tag =
      tags.find((one) => one.toLowerCase() === this.language.toLowerCase()) ??
      tags.find((one) => main(one) === main(this.language)) ??
      tags.find((one) => main(one) === 'en') ??
      tags[0];
    return tag ? { tag, text: notice[tag] } : null;
  }
}
