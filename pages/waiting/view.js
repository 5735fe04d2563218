/**
 * What a scene looks like. Built once when it comes on; while it stays, only words and numbers in it change, so that
 * focus, selection and screen readers are left alone. Everything that came from a person is set as text.
 */

/** @typedef {import('./words.js').Words} Words */
/** @typedef {import('../../clients/js/types/contract.js').Sale} Sale */
/** @typedef {import('../../clients/js/types/contract.js').Entry} Entry */
/** @typedef {import('../../clients/js/types/contract.js').Order} Order */
/** @typedef {import('../../clients/js/types/contract.js').Item} Item */

/**
 * What is shown, and what may be done.
 *
 * @typedef {object} Shown
 * @property {Sale | null} sale
 * @property {Entry | null} entry
 * @property {Order | null} order
 * @property {string} orderLink
 * @property {number | null} first the position the place was first seen at
 * @property {() => number} now the server's clock
 * @property {string} [trouble] what went wrong with the last thing the person did
 * @property {'join' | 'pay' | 'retry' | ''} busy
 * @property {boolean} auto whether to join by itself when the sale opens
 * @property {boolean} begun whether a payment was opened
 * @property {'ask' | 'on' | 'denied' | 'none'} notify
 *
 * @typedef {object} Acts
 * @property {(items: Item[]) => void} join
 * @property {(auto: boolean) => void} auto
 * @property {() => void} pay
 * @property {() => void} leave
 * @property {() => void} cancel
 * @property {() => void} again
 * @property {() => void} look
 * @property {() => void} notify
 * @property {() => void} move
 */

/** @typedef {(shown: Shown) => void} Update */

/**
 * An element. `text`, `on…` and properties are set; anything else is an attribute.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [more]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, more = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(more)) {
    if (name === 'text') element.textContent = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets the text of an element, if it is another. @param {Element} element @param {string} text */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A term and its value, for a list of facts. @param {string} term @param {HTMLElement} value */
const fact = (term, value) => el('div', {}, el('dt', { text: term }), value);

export class View {
  /** @param {Words} words @param {Acts} acts */
  constructor(words, acts) {
    this.words = words;
    this.acts = acts;
    /** What has to be brought up to date. @type {Update[]} */
    this.updates = [];
  }

  /**
   * The elements of a scene; `this.updates` keeps them up to date.
   *
   * @param {string} scene
   * @param {Shown} shown
   * @returns {HTMLElement[]}
   */
  build(scene, shown) {
    this.updates = [];
    /** @type {HTMLElement[]} */
    const parts = this[/** @type {'waiting'} */ (BUILDERS[scene] ?? 'told')](scene, shown);
    const trouble = el('p', { class: 'trouble', role: 'alert', hidden: true });
    this.updates.push((now) => {
      trouble.hidden = !now.trouble;
      put(trouble, now.trouble ?? '');
    });
    return [...parts, trouble];
  }

  /** @param {string} key @param {string} [kind] */
  heading(key, kind) {
    return el('h1', { class: kind, tabindex: -1, text: this.words.say(key) });
  }

  /** @param {string} key */
  lead(key) {
    return el('p', { class: 'lead', text: this.words.say(key) });
  }

  /** @param {string} key @param {() => void} act @param {string} [kind] */
  button(key, act, kind = 'quiet') {
    return el('button', { type: 'button', class: kind, onclick: act, text: this.words.say(key) });
  }

  /** @param {string} scene @param {Shown} shown */
  told(scene, shown) {
    const { words } = this;
    const lead = this.lead(leadOf(scene, shown));
    /** @type {HTMLElement[]} */
    const parts = [this.heading(`${scene}.heading`), lead];
    if (shown.order) parts.push(this.order(shown));
    if (['left', 'expired', 'lost', 'moved'].includes(scene)) parts.push(this.button('again.button', this.acts.again, 'main'));
    if (['unavailable', 'paused', 'frozen', 'line_full', 'identity'].includes(scene)) {
      parts.push(this.button('look.button', this.acts.look));
    }
    this.updates.push((now) => put(lead, words.say(leadOf(scene, now))));
    return parts;
  }

  /** @param {string} _ @param {Shown} shown */
  before(_, shown) {
    const { words } = this;
    const opensAt = shown.sale?.opens_at ?? '';
    const left = el('p', { class: 'big', role: 'timer' });
    this.updates.push((now) => {
      const ms = Date.parse(opensAt) - now.now();
      put(left, ms > 0 ? spell(words, ms) : words.say('before.soon'));
    });
    const auto = el('input', { type: 'checkbox', checked: shown.auto });
    auto.addEventListener('change', () => this.acts.auto(auto.checked));
    return [
      this.heading('before.heading', 'label'),
      left,
      el('p', { class: 'lead' }, el('time', { datetime: opensAt, text: words.say('before.at', { when: words.when(opensAt) }) })),
      this.lead('before.lead'),
      this.goods(shown, null),
      el('label', { class: 'check' }, auto, el('span', { text: words.say('before.auto') })),
    ];
  }

  /** @param {string} _ @param {Shown} shown */
  join(_, shown) {
    const { words } = this;
    const button = el('button', { type: 'submit', class: 'main' });
    const [waiting, remaining] = [el('dd'), el('dd')];
    const hint = el('p', { class: 'hint', role: 'status' });
    this.updates.push((now) => {
      button.disabled = now.busy !== '';
      put(button, words.say(now.busy ? 'join.busy' : 'join.button'));
      put(hint, now.busy === 'retry' ? words.say('join.retry') : '');
      put(waiting, words.number.format(now.sale?.waiting ?? 0));
      put(remaining, words.number.format(now.sale?.remaining ?? 0));
    });
    return [
      this.heading('join.heading'),
      this.lead('join.lead'),
      el('dl', { class: 'facts' }, fact(words.say('join.waiting'), waiting), fact(words.say('join.remaining'), remaining)),
      this.goods(shown, button),
      hint,
    ];
  }

  /** What can be bought, as a form; with `button` it joins. @param {Shown} shown @param {HTMLElement | null} button */
  goods(shown, button) {
    const { words } = this;
    let skus = shown.sale?.skus ?? [];
    const choose = el('fieldset', {}, el('legend', { text: words.say('join.choose') }));
    skus.forEach((sku, n) => {
      const gone = button !== null && sku.remaining === 0;
      const radio = el('input', { type: 'radio', name: 'sku', value: sku.sku, checked: n === 0 });
      const price = words.money(sku.amount_fen, sku.currency);
      const told = gone ? `${price} · ${words.say('join.gone')}` : price;
      choose.append(el('label', { class: 'choice' }, radio, el('span', { text: sku.sku }), el('span', { text: told })));
    });
    const many = el('input', { type: 'number', name: 'quantity', min: 1, max: 1000, value: 1, inputmode: 'numeric', required: true });
    const label = el('span');
    const [from, to] = ['from', 'to'].map((name) => el('select', { name }));
    const ends = [from, to].map((end) => el('label', {}, el('span', { text: words.say(`join.${end.name}`) }), end));
    const stretch = el('div', { class: 'stretch' }, ...ends);
    const free = el('p', { class: 'hint' });
    const wrong = el('p', { class: 'trouble', id: 'wrong', role: 'alert' });
    to.setAttribute('aria-describedby', 'wrong');
    const form = el('form', { id: 'goods' }, choose, stretch, wrong, free, el('label', { class: 'quantity' }, label, many));
    if (button) form.append(button);
    let known = '';
    // Brings what hangs on the choice in line with it.
    const follow = () => {
      const [{ sku: id }] = chosen(form);
      const { stops = [], free_seats: seats } = skus.find(({ sku }) => sku === id) ?? {};
      const seated = stops.length > 0;
      if (known !== stops.join('\n')) {
        known = stops.join('\n');
        const options = stops.map((text, value) => el('option', { value, text }));
        to.replaceChildren(...options.slice(1).map((option) => option.cloneNode(true)));
        from.replaceChildren(...options.slice(0, -1));
        to.selectedIndex = stops.length - 2;
      }
      stretch.hidden = from.disabled = to.disabled = !seated;
      put(label, words.say(seated ? 'join.passengers' : 'join.quantity'));
      const [a, b] = [Number(from.value), Number(to.value)];
      const bad = seated && a >= b;
      to.setAttribute('aria-invalid', String(bad));
      put(wrong, bad ? words.stretch('join.stretch', stops, a, b) : '');
      const least = Math.min(...(seats ?? []).slice(a, b));
      const count = words.say(least ? 'join.most' : 'join.gone', { count: least });
      put(free, seated && isFinite(least) ? words.stretch('join.free', stops, a, b, { count }) : '');
      return bad;
    };
    form.addEventListener('change', follow);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (follow()) to.focus();
      else this.acts.join(chosen(form));
    });
    this.updates.push((now) => {
      skus = now.sale?.skus ?? skus;
      follow();
    });
    return form;
  }

  /** @param {string} scene @param {Shown} shown */
  waiting(scene, shown) {
    const { words } = this;
    const place = el('p', { class: scene === 'parked' ? 'big words' : 'big' });
    const progress = el('progress', { max: 1, 'aria-label': words.say('waiting.progress') });
    const [ahead, wait, odds] = [el('p', { class: 'hint' }), el('dd'), el('dd')];
    const lead = el('p', { class: 'lead' });
    this.updates.push(({ entry, first, sale }) => {
      const position = entry?.position ?? 1;
      put(place, position === 1 && scene === 'parked' ? words.say('waiting.next') : words.number.format(position));
      const done = 1 - (position - 1) / Math.max(1, first ?? position);
      // It may be told by a place that another tab remembers better: it never goes back.
      progress.value = Math.max(progress.value, done);
      put(ahead, position > 1 ? words.say('waiting.ahead', { count: position - 1 }) : '');
      put(wait, words.wait(entry?.eta_seconds));
      put(odds, words.say(`odds.${entry?.odds ?? 'unknown'}`));
      const still = sale?.state === 'paused' || sale?.state === 'frozen' ? `${sale.state}.waiting` : 'waiting.lead';
      put(lead, words.say(scene === 'parked' ? 'waiting.parked' : still));
    });
    const notify = this.notify();
    return [
      this.heading('waiting.heading', 'label'),
      place,
      progress,
      ahead,
      el('dl', { class: 'facts' }, fact(words.say('waiting.wait'), wait), fact(words.say('waiting.odds'), odds)),
      lead,
      el('div', { class: 'row' }, notify, this.move(), this.button('leave.button', this.acts.leave)),
    ];
  }

  /** @param {string} _ */
  called(_) {
    return [this.heading('called.heading'), this.lead('called.lead'), el('div', { class: 'busy', role: 'presentation' }), this.move()];
  }

  /** @param {string} _ */
  standby(_) {
    const row = el('div', { class: 'row' }, this.notify(), this.move(), this.button('standby.button', this.acts.leave));
    return [this.heading('standby.heading'), this.lead('standby.lead'), row];
  }

  /** @param {string} scene @param {Shown} shown */
  reserved(scene, shown) {
    const { words, acts } = this;
    const left = el('p', { class: 'big', role: 'timer' });
    const lead = el('p', { class: 'lead' });
    const pay = el('button', { type: 'button', class: 'main', onclick: acts.pay });
    const by = el('time', { class: 'hint' });
    const order = el('div');
    const begun = el('p', { class: 'hint' });
    this.updates.push((now) => {
      const payBy = now.order?.pay_by ?? now.entry?.pay_by;
      const ms = payBy ? Date.parse(payBy) - now.now() : 0;
      put(left, payBy ? words.countdown(ms) : '–');
      left.classList.toggle('short', ms < 60_000);
      put(lead, words.say(payBy && ms <= 0 ? 'reserved.late' : scene === 'shop' ? 'reserved.shop_lead' : 'reserved.lead'));
      by.dateTime = payBy ?? '';
      put(by, payBy ? words.say('reserved.by', { when: words.when(payBy) }) : '');
      pay.disabled = now.busy === 'pay' || (Boolean(payBy) && ms <= 0);
      put(pay, payLabel(words, now));
      put(begun, now.begun ? words.say('reserved.begun') : '');
      if (now.order && !order.firstChild) order.append(this.order(now));
    });
    const key = scene === 'offer' ? 'reserved.offer' : 'reserved.heading';
    /** @type {HTMLElement[]} */
    const parts = [this.heading(key), el('p', { class: 'label', text: words.say('reserved.left') }), left, by, lead];
    if (scene === 'shop') {
      const link = { class: 'main button', href: httpOnly(shown.orderLink), rel: 'noopener', text: words.say('reserved.shop') };
      return [...parts, el('a', link), this.move()];
    }
    return [...parts, order, pay, begun, el('div', { class: 'row' }, this.button('reserved.cancel', acts.cancel), this.move())];
  }

  /** @param {Shown} shown */
  order({ order: known, sale }) {
    const { words } = this;
    const order = /** @type {Order} */ (known);
    const list = el('dl', { class: 'order' });
    // Every seat is a line of its own; who travels together is told together.
    /** @type {Map<string, Order['items']>} */
    const lines = new Map();
    for (const item of order.items) {
      const key = [item.sku, item.from, item.to, item.amount_fen].join();
      lines.set(key, [...(lines.get(key) ?? []), item]);
    }
    for (const all of lines.values()) {
      const [{ sku, from, to, amount_fen: price }] = all;
      const count = all.reduce((sum, item) => sum + item.quantity, 0);
      const line = fact(`${words.number.format(count)} × ${sku}`, el('dd', { text: words.money(price * count, order.currency) }));
      const { stops } = sale?.skus.find((one) => one.sku === sku) ?? {};
      if (stops && from != null && to != null) line.append(el('dd', { class: 'hint', text: words.stretch('order.stretch', stops, from, to) }));
      const seats = words.list.format(all.flatMap(({ seat }) => seat ?? []));
      if (seats) line.append(el('dd', { class: 'hint', text: words.say('order.seats', { seats }) }));
      list.append(line);
    }
    list.append(fact(words.say('order.total'), el('dd', { text: words.money(order.amount_fen, order.currency) })));
    if (order.ticket) list.append(fact(words.say('order.ticket'), el('dd', { text: order.ticket })));
    list.append(fact(words.say('order.number'), el('dd', {}, el('code', { text: order.order }))));
    return el('section', { class: 'card', 'aria-label': words.say('order.label') }, list);
  }

  /** The way to another device. */
  move() {
    return this.button('keep.button', this.acts.move);
  }

  notify() {
    const button = this.button('notify.button', this.acts.notify);
    const told = el('p', { class: 'hint' });
    this.updates.push(({ notify }) => {
      button.hidden = notify !== 'ask';
      told.hidden = notify === 'ask' || notify === 'none';
      put(told, told.hidden ? '' : this.words.say(`notify.${notify}`));
    });
    return el('div', {}, button, told);
  }
}

/** @type {Record<string, string>} */
const BUILDERS = {
  ...{ before: 'before', join: 'join', waiting: 'waiting', parked: 'waiting', called: 'called' },
  ...{ standby: 'standby', reserved: 'reserved', offer: 'reserved', shop: 'reserved' },
};

/** The sentence under the heading. @param {string} scene @param {Shown} shown */
function leadOf(scene, { entry }) {
  if (scene === 'refused' && (entry?.reason === 'duplicate' || entry?.reason === 'over_limit')) return `refused.${entry.reason}`;
  if (scene === 'closed_sale' && entry) return 'closed_sale.waited';
  if (scene === 'sold_out' && !entry) return 'sold_out.sale';
  return `${scene}.lead`;
}

/** @param {Words} words @param {Shown} shown */
function payLabel(words, { busy, order }) {
  if (busy === 'pay') return words.say('reserved.paying');
  if (!order) return words.say('reserved.pay_plain');
  return words.say('reserved.pay', { amount: words.money(order.amount_fen, order.currency) });
}

/** What is ticked in the form of goods. @param {Element | null} [form] @returns {Item[]} */
export function chosen(form = document.querySelector('form#goods')) {
  const data = new FormData(/** @type {HTMLFormElement | null} */ (form) ?? undefined);
  const quantity = Math.max(1, Math.floor(Number(data.get('quantity')) || 1));
  // Goods that call nowhere have no stretch.
  const stretch = data.has('from') ? { from: Number(data.get('from')), to: Number(data.get('to')) } : {};
  return [{ sku: String(data.get('sku') ?? ''), quantity, ...stretch }];
}

/** A link that leads to a page, or nowhere. @param {string} link */
export function httpOnly(link) {
  try {
    const url = new URL(link, location.href);
    return ['https:', 'http:'].includes(url.protocol) ? url.href : '#';
  } catch {
    return '#';
  }
}

/** Days in words, the rest as a clock. @param {Words} words @param {number} ms */
function spell(words, ms) {
  const days = Math.floor(ms / 86_400_000);
  if (days === 0) return words.countdown(ms);
  const format = new Intl.NumberFormat(words.language, { style: 'unit', unit: 'day', unitDisplay: 'long' });
  return `${format.format(days)} ${words.countdown(ms % 86_400_000)}`;
}
