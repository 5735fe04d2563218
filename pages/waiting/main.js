/**
 * The waiting page: one sale, one place, one scene at a time. Until this runs, the page is what the server wrote; from
 * then on it is kept by the client (clients/js) and nothing is ever reloaded.
 */

import { Sluice } from '../../clients/js/src/index.js';
import { Problem } from '../../clients/js/src/requests.js';
import { sceneOf } from './scenes.js';
import { View, chosen, el, httpOnly, put } from './view.js';
import { Words } from './words.js';

/** How often a position may be announced to who listens, in milliseconds; a new scene is announced at once. */
const SAY_EVERY_MS = 30_000;
/** How often the sale is looked at by who has no place, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/** Scenes in which it matters that news comes; elsewhere only trouble is told. @type {ReadonlySet<string>} */
const FRESH = new Set(['waiting', 'parked', 'called', 'standby', 'reserved', 'offer']);
/** Scenes in which something is wanted of the person. @type {ReadonlySet<string>} */
const TURNS = new Set(['called', 'reserved', 'offer', 'shop']);

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const { dataset } = document.body;
const { assets = '', sale: saleId = '', entry: entryId, title: saleTitle = '', preview, orders } = dataset;
const language = document.documentElement.lang;

class Page {
  /** @type {import('../../clients/js/src/place.js').Place | null} */
  place = null;
  /** @type {import('../../clients/js/types/contract.js').Sale | null} */
  sale = null;
  /** @type {string | null} */
  refusal = null;
  scene = '';
  /** @type {import('./view.js').Shown['busy']} */
  busy = '';
  /** What was asked for last. @type {import('../../clients/js/types/contract.js').Item[]} */
  items = [];
  trouble = '';
  begun = false;
  auto = true;
  /** Not joined before this, by our clock: somebody said when. */
  joinAt = 0;
  /** When the sale is looked at for who waits without push. */
  lookAt = 0;
  /** Until all is known that can be, what the server wrote stays. */
  started = false;
  /** @type {import('../../clients/js/types/contract.js').Connection | null} */
  connection = null;
  #saidAt = 0;
  #said = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #looking;
  #fails = 0;

  /** @param {Words} words */
  constructor(words) {
    this.words = words;
    this.sluice = new Sluice({ sale: saleId, orders });
    this.view = new View(words, {
      join: (items) => void this.join(items),
      auto: (auto) => (this.auto = auto),
      pay: () => void this.pay(),
      leave: () => this.confirm(this.scene === 'standby' ? 'standby' : 'leave', () => this.place?.leave()),
      cancel: () => this.confirm('cancel', () => this.place?.cancel()),
      again: () => this.again(),
      look: () => void this.look(),
      notify: () => void this.askToNotify(),
      move: () => void this.move('give'),
    });
  }

  async start() {
    const looked = this.look();
    try {
      const place = await this.sluice.resume({ entry: entryId });
      if (place) this.take(place);
    } catch (error) {
      this.refuse(error);
    }
    await looked;
    this.started = true;
    this.show();
    setInterval(() => this.tick(), 250);
    // Redeemed by nobody but who says so: whoever looks at links before people do would use it up.
    const arrive = () => location.hash.startsWith('#move=') && void this.move('take');
    arrive();
    addEventListener('hashchange', arrive);
    // Another tab may have joined.
    this.sluice.keeper.watch((kept) => kept && !this.place && void this.find());
    addEventListener('pageshow', (event) => event.persisted && void this.look());
    document.addEventListener('visibilitychange', () => !document.hidden && !this.place && void this.look());
  }

  async find() {
    try {
      const place = await this.sluice.resume();
      if (place && !this.place) this.take(place);
    } catch (error) {
      this.refuse(error);
    }
    this.show();
  }

  /** @param {import('../../clients/js/src/place.js').Place} place */
  take(place) {
    this.place = place;
    this.refusal = null;
    this.trouble = '';
    clearTimeout(this.#looking);
    place.follow({
      entry: () => this.show(),
      line: (line) => {
        if (this.sale) this.sale = { ...this.sale, ...line };
        this.show();
      },
      order: () => this.show(),
      connection: (connection) => {
        this.connection = connection;
        this.show();
      },
      lost: (problem) => {
        this.place = null;
        document.querySelector('dialog')?.close();
        this.refuse(problem);
        void this.look();
      },
    });
  }

  /** Looks at the sale, and again later while there is no place. */
  async look() {
    clearTimeout(this.#looking);
    let after = 0;
    try {
      this.sale = await this.sluice.info();
      this.#fails = 0;
      after = this.lookAfterMs(this.sale);
      if (this.isOutdated(this.sale.state)) this.refusal = null;
      if (!this.place) this.connection = null;
    } catch (error) {
      if (error instanceof Problem && !error.isPassing) this.refuse(error);
      else if (!this.place) this.connection = { state: navigator.onLine ? 'unavailable' : 'offline', by: 'poll' };
      const told = error instanceof Problem ? (error.retryAfterMs ?? 0) : 0;
      after = told + Math.random() * Math.min(30_000, 2_000 * 2 ** (this.#fails += 1));
    }
    this.show();
    if (!this.place) this.#looking = setTimeout(() => void this.look(), after + Math.random() * 1_000);
  }

  /** A crowd that is early need not ask all the time. @param {import('../../clients/js/types/contract.js').Sale} sale */
  lookAfterMs({ state, opens_at: opensAt }) {
    if (state === 'scheduled' && opensAt) {
      return Math.min(60_000, Math.max(LOOK_EVERY_MS, (Date.parse(opensAt) - this.sluice.now()) / 4));
    }
    return state === 'sold_out' || state === 'closed' ? 30_000 : LOOK_EVERY_MS;
  }

  /** Whether what was refused may be asked for again, as the sale stands now. @param {string} state */
  isOutdated(state) {
    switch (this.refusal) {
      case 'sale_paused':
        return state !== 'paused' && state !== 'frozen';
      case 'sold_out':
      case 'sale_closed':
        return state === 'open';
      case 'no_such_sale':
        return true;
      default:
        return false;
    }
  }

  tick() {
    const { place, busy, scene, sale } = this;
    if (!place && !busy && Date.now() >= this.joinAt) {
      if (scene === 'line_full') return void this.join(this.items);
      if (scene === 'before' && sale?.opens_at && this.sluice.now() >= Date.parse(sale.opens_at)) {
        this.items = chosen();
        this.refusal = null;
        this.sale = { ...sale, state: 'open' };
        this.show();
        // Not everybody in the same instant.
        if (this.auto) setTimeout(() => void this.join(this.items), Math.random() * 500);
        return;
      }
    }
    // Push tells how the line stands; without it, somebody has to ask.
    if (place && this.connection?.state === 'polling' && Date.now() >= this.lookAt && FRESH.has(scene)) {
      this.lookAt = Date.now() + Math.max(15_000, place.entry?.poll_after_ms ?? 0) * (1 + Math.random());
      void this.look();
    }
    this.update();
  }

  /** @param {import('../../clients/js/types/contract.js').Item[]} items */
  async join(items) {
    if (this.busy || this.place) return;
    this.items = items;
    this.busy = 'join';
    this.trouble = '';
    const slow = setTimeout(() => ((this.busy = 'retry'), this.show()), 4_000);
    this.show();
    try {
      this.take(await this.sluice.join({ items, locale: language }));
    } catch (error) {
      this.refuse(error);
    }
    clearTimeout(slow);
    this.busy = '';
    this.show();
  }

  /** @param {unknown} error */
  refuse(error) {
    if (!(error instanceof Problem)) throw error;
    // Never before we were told to, never all at once.
    this.joinAt = Date.now() + (error.retryAfterMs ?? 5_000) + Math.random() * 5_000;
    if (error.code === 'not_open_yet') this.joinAt = Date.now() + 250 + Math.random() * 500;
    const again = error.code === 'bad_request' || (error.isPassing && error.code !== 'line_full');
    if (again) this.trouble = this.troubleOf(error);
    else this.refusal = error.code;
  }

  /** What is said of a join that may be tried again. @param {Problem} problem */
  troubleOf({ code, field = '' }) {
    const [{ sku, from = 0, to = 0 }] = this.items;
    const { stops } = this.sale?.skus.find((one) => one.sku === sku) ?? {};
    if (code !== 'bad_request') return this.words.say('join.later');
    if (stops && /(from|to)$/.test(field)) return this.words.stretch('join.stretch', stops, from, to);
    return this.words.say(/quantity|^items$/.test(field) ? 'join.fewer' : 'join.bad');
  }

  again() {
    this.place?.stop();
    this.place?.forget();
    this.place = null;
    this.refusal = null;
    this.trouble = '';
    void this.look();
  }

  async pay() {
    const { place } = this;
    if (!place || this.busy) return;
    this.busy = 'pay';
    this.trouble = '';
    this.show();
    try {
      const { pay_url: link } = await place.pay();
      this.begun = true;
      location.assign(httpOnly(link));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // It may have been paid, or closed, meanwhile: the order says so.
      if (error.code === 'wrong_state') place.wake();
      else this.trouble = this.words.say('reserved.failed');
    }
    this.busy = '';
    this.show();
  }

  /** To another device, or from one: what that needs comes when it is needed. @param {'give' | 'take'} what */
  async move(what) {
    try {
      Object.assign(this.words.texts, await textsOf(`${language}.move`));
      await (await import(`${assets}/move.js`))[what](this, el);
    } catch {
      this.trouble = this.words.say('join.later');
      this.show();
    }
  }

  /** Something before everything else. @param {string} heading @param {...HTMLElement} parts */
  dialog(heading, ...parts) {
    const title = el('h2', { id: 'question', text: this.words.say(heading) });
    const dialog = el('dialog', { 'aria-labelledby': 'question', onclose: () => dialog.remove() }, title, ...parts);
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  }

  /** Asks before something is given up for good. @param {'leave' | 'standby' | 'cancel'} what @param {() => unknown} act */
  confirm(what, act) {
    const { words } = this;
    const stay = this.view.button('leave.no', () => dialog.close(), 'main');
    const go = this.view.button(`${what}.yes`, async () => {
      dialog.close();
      try {
        await act();
        if (what !== 'cancel') this.left();
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        this.trouble = words.say('leave.failed');
        this.show();
      }
    });
    const warning = el('p', { text: words.say(`${what}.warning`) });
    const dialog = this.dialog(`${what}.question`, warning, el('div', { class: 'row' }, stay, go));
    stay.focus();
  }

  left() {
    const entry = this.place?.entry;
    if (entry) entry.state = 'left';
    this.show();
  }

  async askToNotify() {
    await Notification.requestPermission();
    this.show();
  }

  /** @returns {import('./view.js').Shown['notify']} */
  get notify() {
    if (!('Notification' in globalThis) || !isSecureContext) return 'none';
    const { permission } = Notification;
    return permission === 'default' ? 'ask' : permission === 'granted' ? 'on' : 'denied';
  }

  /** @returns {import('./view.js').Shown} */
  get shown() {
    const { place, sale, busy, trouble, begun, auto, notify } = this;
    const [entry, order, orderLink] = [place?.entry ?? null, place?.order ?? null, place?.orderLink ?? ''];
    const first = place?.standing.first ?? null;
    return { sale, entry, order, orderLink, first, now: () => this.sluice.now(), busy, trouble, begun, auto, notify };
  }

  show() {
    if (!this.started) return;
    const { shown, place, sale } = this;
    const ownOrder = place?.hasOwnOrder ?? false;
    const wasStandby = place?.standing.wasStandby ?? false;
    const scene = sceneOf({ ...shown, sale, ownOrder, wasStandby, refusal: this.refusal });
    if (scene !== this.scene) this.stage(scene, shown);
    this.update();
  }

  /** @param {string} scene @param {import('./view.js').Shown} shown */
  stage(scene, shown) {
    const before = this.scene;
    this.scene = scene;
    const stage = $('scene');
    // Who was in the middle of it is not left on an element that is gone.
    const hadFocus = stage.contains(document.activeElement);
    stage.replaceChildren(...this.view.build(scene, shown));
    stage.dataset.scene = scene;
    if (before && before !== 'unavailable') this.say(stage.querySelector('h1')?.textContent ?? '', true);
    if (hadFocus) stage.querySelector('h1')?.focus();
    if (TURNS.has(scene) && before && !TURNS.has(before)) this.callOut();
  }

  update() {
    const { shown, words } = this;
    for (const update of this.view.updates) update(shown);
    const position = shown.entry?.position;
    const key = TURNS.has(this.scene) ? 'turn' : position ? 'waiting' : 'plain';
    const title = this.sale?.title || saleTitle;
    const tab = words.say(`tab.${key}`, { title, position: position ?? '' });
    if (document.title !== tab) document.title = tab;
    const notice = words.notice(this.sale?.notice);
    $('notice').hidden = !notice;
    if (notice && $('notice-text').textContent !== notice.text) {
      put($('notice-text'), notice.text);
      $('notice-text').lang = notice.tag;
      this.say(notice.text, true);
    }
    this.connected();
    if (this.scene === 'waiting' && position) {
      const wait = shown.entry?.eta_seconds ? words.wait(shown.entry.eta_seconds) : '';
      this.say(words.say(wait ? 'waiting.said_wait' : 'waiting.said', { position, wait }), false);
    }
  }

  /** How news comes. A short gap is not worth a word. */
  connected() {
    const line = $('connection');
    const state = this.connection?.state ?? (this.sale?.stale ? 'unavailable' : '');
    const well = state === 'live' || state === 'polling';
    line.hidden = !state || (well && !FRESH.has(this.scene));
    line.dataset.state = state;
    if (state) put(line, this.words.say(`connection.${state}`));
  }

  /** Tells who listens instead of looking: never in a hurry, never twice. @param {string} text @param {boolean} now */
  say(text, now) {
    const at = Date.now();
    if (!text || text === this.#said || (!now && at - this.#saidAt < SAY_EVERY_MS)) return;
    this.#said = text;
    this.#saidAt = at;
    put($('say'), text);
  }

  callOut() {
    if (this.notify !== 'on' || !document.hidden) return;
    try {
      const body = this.words.say('notify.body', { title: this.sale?.title ?? saleTitle });
      const title = this.words.say(this.scene === 'offer' ? 'reserved.offer' : 'notify.title');
      const note = new Notification(title, { body, tag: `sluice-${saleId}` });
      note.onclick = () => (focus(), note.close());
    } catch {
      // Some browsers only let service workers notify.
    }
  }
}

const textsOf = async (/** @type {string} */ name) => (await fetch(`${assets}/${name}.json`)).json();
const page = new Page(new Words(await textsOf(language), language));
if (preview) {
  const { rehearse } = await import(`${assets}/preview.js`);
  await rehearse(page, preview);
} else {
  await page.start();
}
document.body.dataset.ready = '';
