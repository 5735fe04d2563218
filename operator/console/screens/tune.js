/**
 * Tuning: the numbers of the policy, what they come to by the law, what they would do to the sale before they are set, and one
 * step back after.
 */

import { Problem, ask } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put, say } from "../parts/dom.js";
import { count, percent, perSecond } from "../parts/format.js";
import { isDrastic, rate } from "../parts/law.js";
import { may } from "../parts/session.js";
import { alert, mark, tell } from "../parts/tell.js";
import { named, t } from "../words/words.js";
import { FIELDS, field, read, shown } from "./policy-fields.js";
import { effect, summary } from "./effect.js";

/** How long nothing is typed before the effect is asked for. */
const QUIET_MS = 700;

/**
 * What was set last, for the step back: by sale, for as long as the page lives.
 *
 * @type {Map<string, { before: Record<string, unknown>, after: Record<string, unknown>, version: number }>}
 */
const steps = new Map();

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function tunePage(frame) {
  return new Tuning(frame).page();
}

class Tuning {
  /**
   * @param {import("./sale.js").Frame} frame
   */
  constructor(frame) {
    this.frame = frame;
    /** The policy the form began from, and its version: what `If-Match` names. */
    this.policy = frame.sale.policy;
    this.version = frame.sale.version;
    this.readOnly = !may("operator");
    this.over = new AbortController();
    this.timer = 0;
    this.asked = 0;
    /** What was seen last, and for which patch. @type {{ of: string, answer: any } | null} */
    this.seen = null;
    this.law = h("p", { class: "law" });
    this.effect = h("div", { class: "effect", "aria-live": "polite" });
    this.trouble = h("div", { role: "alert" });
    this.undo = h("div");
    this.form = h("form", { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.apply();
    }, oninput: () => this.onInput() });
    this.crowd = this.crowdFields();
  }

  /** @returns {import("./sale.js").Page} */
  page() {
    this.fillForm();
    this.showUndo();
    this.onInput();
    const element = h("div", { class: "columns tune" },
      h("div", null, this.undo, this.form),
      h("section", { class: "card", "aria-label": t("effect.title") },
        h("h2", null, t("effect.title")), this.crowd.element, this.effect));
    return {
      element,
      onStats: (stats) => {
        this.showLaw();
        this.crowd.begin(stats);
      },
      onSale: (sale) => this.onSale(sale),
      stop: () => {
        clearTimeout(this.timer);
        this.over.abort();
      },
    };
  }

  fillForm() {
    const group = (/** @type {boolean} */ first) =>
      FIELDS.filter((one) => one.first === first).map((one) => field(one, this.policy, this.readOnly));
    this.button = h("button", { class: "button primary", type: "submit" }, t("tune.apply"));
    put(
      this.form,
      h("h2", null, t("tune.title")),
      this.readOnly && h("p", { class: "muted" }, t("tune.read-only")),
      h("div", { class: "fields" }, group(true)),
      this.law,
      h("details", null, h("summary", null, t("tune.more")), h("div", { class: "fields" }, group(false))),
      this.trouble,
      !this.readOnly &&
        h("div", { class: "row end" },
          h("button", { class: "button", type: "button", onclick: () => this.startOver() }, t("tune.reset")), this.button),
    );
  }

  startOver() {
    this.policy = this.frame.sale.policy;
    this.version = this.frame.sale.version;
    put(this.trouble);
    this.fillForm();
    this.onInput();
  }

  /** Somebody changed the sale. A form nobody has touched follows; one in hand is kept, and its author told. @param {any} sale */
  onSale(sale) {
    if (sale.version === this.version) return;
    if (Object.keys(read(this.form, this.policy)).length === 0) this.startOver();
    else put(this.trouble, h("p", { class: "trouble" }, t("tune.changed", { version: sale.version }), " ",
      h("button", { class: "button", type: "button", onclick: () => this.startOver() }, t("tune.take-theirs")), " ",
      h("button", { class: "button", type: "button", onclick: () => this.keepMine() }, t("tune.keep-mine"))));
    this.showUndo();
  }

  /** What was typed is laid over the sale as it is now; what somebody else set meanwhile stays, unless it was typed too. */
  keepMine() {
    const mine = read(this.form, this.policy);
    this.policy = this.frame.sale.policy;
    this.version = this.frame.sale.version;
    put(this.trouble);
    this.fillForm();
    for (const [name, value] of Object.entries(shown(mine))) {
      const input = /** @type {HTMLInputElement | null} */ (this.form.querySelector(`[data-field="${name}"]`));
      if (input?.type === "checkbox") input.checked = value === true;
      else if (input) input.value = String(value);
    }
    this.onInput();
  }

  showLaw() {
    const remaining = this.frame.stats?.remaining ?? this.frame.sale.remaining;
    const next = { ...this.policy, ...read(this.form, this.policy) };
    const [now, then] = [rate(this.policy, remaining), rate(next, remaining)];
    say(this.law, t("tune.law", {
      fraction: percent(next.fraction), remaining: count(remaining), ceiling: count(next.ceiling_per_second, 2),
      tail: count(next.tail_per_second, 2), multiplier: percent(next.multiplier), rate: perSecond(then), now: perSecond(now),
    }));
  }

  onInput() {
    this.showLaw();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.preview(), QUIET_MS);
  }

  /** Asks what the form would do. An answer that comes after another was asked for is dropped. */
  async preview() {
    const asked = (this.asked += 1);
    const patch = read(this.form, this.policy);
    this.effect.classList.add("asking");
    try {
      const body = { policy: patch, crowd: this.crowd.read() };
      const answer = await ask("POST", this.frame.path("/preview"), { body, signal: this.over.signal });
      if (asked !== this.asked) return;
      mark(this.form, null);
      this.seen = { of: JSON.stringify(patch), answer };
      put(this.effect, effect(answer, Object.keys(patch).length > 0));
    } catch (error) {
      if (asked !== this.asked || this.over.signal.aborted) return;
      if (error instanceof Problem && error.code === "preview_busy") {
        this.timer = window.setTimeout(() => void this.preview(), error.retryAfterMs ?? 1_000);
        return;
      }
      mark(this.form, error, false);
      put(this.effect, alert(error));
    } finally {
      if (asked === this.asked) this.effect.classList.remove("asking");
    }
  }

  async apply() {
    const patch = read(this.form, this.policy);
    const names = Object.keys(patch);
    if (names.length === 0) {
      put(this.trouble, h("p", { class: "trouble" }, t("tune.nothing")));
      return;
    }
    const before = pick(this.policy, patch);
    const version = this.version;
    const remaining = this.frame.stats?.remaining ?? this.frame.sale.remaining;
    const drastic = isDrastic(this.policy, { ...this.policy, ...patch }, remaining);
    const done = await confirm({
      title: t("tune.confirm", { sale: this.frame.sale.title }),
      says: [t("tune.bites"), changes(before, patch), this.foreseen(patch)],
      act: t("tune.apply"),
      danger: drastic,
      reason: drastic ? "needed" : "asked",
      work: async (reason) => {
        const sale = await this.set(patch, version, reason);
        if (!sale) return;
        steps.set(this.frame.id, { before, after: patch, version: sale.version });
        this.settled(sale);
        return t("tune.done");
      },
    });
    if (done) this.showUndo();
  }

  /**
   * What the preview has shown of this very patch: on a phone it stands far below the button.
   *
   * @param {Record<string, unknown>} patch
   */
  foreseen(patch) {
    if (this.seen?.of !== JSON.stringify(patch)) return t("effect.not-seen");
    return summary(this.seen.answer);
  }

  /**
   * Sets a policy if the sale is still at `version`. A refusal that names a field is shown there.
   *
   * @param {Record<string, unknown>} patch
   * @param {number} version
   * @param {string | undefined} reason
   */
  async set(patch, version, reason) {
    try {
      return await ask("PATCH", this.frame.path("/policy"), { body: patch, ifMatch: version, reason });
    } catch (error) {
      if (error instanceof Problem && error.status === 412) {
        await this.frame.reload();
        return null;
      }
      mark(this.form, error);
      throw error;
    }
  }

  /** @param {any} sale */
  settled(sale) {
    this.policy = sale.policy;
    this.version = sale.version;
    this.frame.learn(sale);
    this.fillForm();
    this.onInput();
  }

  /** One step back, for as long as nobody has changed the sale since. */
  showUndo() {
    const step = steps.get(this.frame.id);
    if (!step || this.readOnly) return put(this.undo);
    if (step.version !== this.frame.sale.version) {
      steps.delete(this.frame.id);
      return put(this.undo);
    }
    put(this.undo, h("div", { class: "card undo" },
      h("p", null, t("undo.says"), " ", names(step.after)),
      h("button", { class: "button", "data-action": "undo", onclick: (/** @type {Event} */ event) => void this.stepBack(event) }, t("undo"))));
  }

  /** @param {Event} event */
  async stepBack(event) {
    const step = steps.get(this.frame.id);
    if (!step) return;
    const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
    button.disabled = true;
    try {
      const sale = await ask("PATCH", this.frame.path("/policy"), { body: step.before, ifMatch: step.version, reason: t("undo.reason") });
      steps.delete(this.frame.id);
      this.settled(sale);
      this.showUndo();
      tell(t("undo.done"));
    } catch (error) {
      button.disabled = false;
      if (!(error instanceof Problem && error.status === 412)) return put(this.trouble, alert(error));
      steps.delete(this.frame.id);
      await this.frame.reload().catch(() => {});
      this.showUndo();
      put(this.trouble, h("p", { class: "trouble" }, t("undo.late")));
    }
  }

  /** Whom to expect: what an operator knows and no machine does. Begins with as many as come now, for five minutes. */
  crowdFields() {
    let begun = false;
    const number = (/** @type {string} */ id, /** @type {number} */ value, /** @type {string} */ label, /** @type {number} */ max) => {
      const typed = () => {
        begun = true;
        this.onInput();
      };
      const input = /** @type {HTMLInputElement} */ (
        h("input", { id, type: "number", min: 0, max, step: 1, value: String(value), inputmode: "numeric", oninput: typed }));
      return { input, element: h("p", { class: "field" }, h("label", { for: id }, label), input) };
    };
    const shoppers = number("crowd-shoppers", 0, t("effect.shoppers"), 1_000_000);
    const minutes = number("crowd-minutes", 5, t("effect.within"), 1_440);
    const whole = (/** @type {HTMLInputElement} */ input) => Math.max(0, Math.round(Number(input.value) || 0));
    return {
      element: h("div", { class: "fields pair" }, shoppers.element, minutes.element),
      /** @param {any} stats */
      begin: (stats) => {
        if (begun || stats.arrivals_per_second === null) return;
        begun = true;
        shoppers.input.value = String(Math.round(stats.arrivals_per_second * 300));
        if (stats.arrivals_per_second > 0) this.onInput();
      },
      read: () => ({ shoppers: whole(shoppers.input), within_seconds: whole(minutes.input) * 60 }),
    };
  }
}

/**
 * The values that a patch would replace.
 *
 * @param {any} policy
 * @param {Record<string, unknown>} patch
 */
function pick(policy, patch) {
  const before = /** @type {Record<string, unknown>} */ ({});
  for (const name of Object.keys(patch)) before[name] = policy[name];
  if (patch.limits) {
    // A limit that was not there is taken away by `null`.
    before.limits = Object.fromEntries(Object.keys(/** @type {object} */ (patch.limits)).map((name) => [name, policy.limits[name] ?? null]));
  }
  return before;
}

/**
 * @param {Record<string, unknown>} before
 * @param {Record<string, unknown>} after
 */
function changes(before, after) {
  const [was, is] = [shown(before), shown(after)];
  return h("table", { class: "diff" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, t("tune.number")), h("th", { scope: "col" }, t("tune.now")), h("th", { scope: "col" }, t("tune.then")))),
    h("tbody", null, Object.keys(is).map((name) =>
      h("tr", null, h("th", { scope: "row" }, named("field", name)), h("td", null, told(was[name])), h("td", null, told(is[name]))))));
}

/**
 * @param {unknown} value
 */
function told(value) {
  if (value === "" || value === undefined) return t("tune.configured");
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  return typeof value === "number" ? count(value, 6) : named("choice", String(value));
}

/**
 * @param {Record<string, unknown>} patch
 */
function names(patch) {
  return Object.keys(shown(patch)).map((name) => named("field", name)).join(", ");
}
