/**
 * Every state of the page without a sale: for whoever brands it, and for the tests that look at it. Served on the admin
 * address only. Nothing here asks anybody anything.
 */

const MINUTE = 60_000;
const at = (/** @type {number} */ ms) => new Date(Date.now() + ms).toISOString();

/** @param {object} [more] @returns {any} */
const sale = (more) => ({
  ...{ sale: 'preview', state: 'open', opens_at: null, closes_at: null, now: at(0), waiting: 1203, serving: 8041 },
  ...{ rate_per_second: 200, remaining: 10_000, notice: null },
  skus: [
    { sku: 'standard', amount_fen: 9900, currency: 'CNY', remaining: 9_400 },
    { sku: 'front-row', amount_fen: 28_800, currency: 'CNY', remaining: 0 },
  ],
  ...more,
});

const STOPS = ['Beijing South', 'Jinan West', 'Nanjing South', 'Shanghai Hongqiao'];
const train = () => {
  const more = { currency: 'CNY', remaining: 38, stops: STOPS };
  const skus = [
    { sku: 'second-class', amount_fen: 55_300, free_seats: [61, 12, 38], ...more },
    { sku: 'first-class', amount_fen: 93_300, free_seats: [4, 0, 7], ...more },
  ];
  return sale({ skus, remaining: 49 });
};

/** @param {string} state @param {object} [more] @returns {any} */
const entry = (state, more) => ({
  ...{ entry: 'preview', sale: 'preview', state, version: 1, seq: 9244, position: null, serving: 8041 },
  ...{ eta_seconds: null, odds: null, poll_after_ms: 2000, order: null, links: { self: '', push: '' } },
  ...more,
});

const waiting = (/** @type {object} */ more) =>
  entry('waiting', { position: 1203, eta_seconds: { p50: 190, p90: 290 }, odds: 'likely', ...more });

/** @param {string} state @param {string} [cause] why it is closing @returns {any} */
const order = (state, cause) => ({
  ...{ order: '019ab3f2-6c1e-7d40-9b7c-2f6a1c0e5d11', state, version: 1, currency: 'CNY', amount_fen: 19_800 },
  items: [{ sku: 'standard', quantity: 2, seat: null, amount_fen: 9_900 }],
  pay_by: at(11 * MINUTE + 42_000),
  closing_cause: cause,
  history: [],
});

const bought = (/** @type {string} */ state, /** @type {string} */ cause = '') => ({
  entry: entry('reserved', { order: 'preview', pay_by: at(11 * MINUTE + 42_000) }),
  order: order(state, cause),
});

const SEATED = {
  items: ['05A', '05B'].map((seat) => ({ sku: 'second-class', quantity: 1, seat, from: 1, to: 3, amount_fen: 55_300 })),
  amount_fen: 110_600,
};

const NOTICE = {
  en: 'Doors are open at the east entrance too.\nPlease have your ticket ready.',
  zh: '东门也已开放。\n请提前准备好您的门票。',
};

/** @type {Record<string, () => any>} */
export const STATES = {
  before: () => ({ sale: sale({ state: 'scheduled', opens_at: at(134 * MINUTE) }) }),
  join: () => ({ sale: sale() }),
  'join-seated': () => ({ sale: train() }),
  waiting: () => ({ entry: waiting({}), first: 4800 }),
  'waiting-sure': () => ({ entry: waiting({ position: 12, odds: 'sure', eta_seconds: { p50: 4, p90: 9 } }), first: 60 }),
  'waiting-unlikely': () => ({ entry: waiting({ position: 38_411, odds: 'unlikely', eta_seconds: { p50: 6200, p90: 9900 } }), first: 41_000 }),
  'waiting-gone': () => ({ entry: waiting({ odds: 'gone', eta_seconds: null }), first: 4800 }),
  notice: () => ({ entry: waiting({}), first: 4800, sale: sale({ notice: NOTICE }) }),
  parked: () => ({ entry: waiting({ position: 1, odds: 'unlikely', eta_seconds: null }), first: 4800 }),
  called: () => ({ entry: entry('called') }),
  reserved: () => bought('awaiting_payment'),
  'reserved-seated': () => ({ ...bought('awaiting_payment'), sale: train(), order: { ...order('awaiting_payment'), ...SEATED } }),
  late: () => ({ ...bought('awaiting_payment'), order: { ...order('awaiting_payment'), pay_by: at(-5_000) } }),
  offer: () => ({ ...bought('awaiting_payment'), wasStandby: true }),
  shop: () => ({ entry: entry('reserved', { pay_by: at(9 * MINUTE), links: { order: 'https://shop.example/' } }), shop: true }),
  paid: () => bought('paid'),
  fulfilling: () => bought('fulfilling'),
  fulfilled: () => bought('fulfilled'),
  failed: () => bought('failed'),
  refunding: () => bought('refunding'),
  refunded: () => bought('refunded'),
  closing: () => bought('closing'),
  closed: () => bought('closed', 'deadline'),
  cancelled: () => bought('closed', 'cancelled'),
  changing: () => bought('changing'),
  standby: () => ({ entry: entry('standby', { seq: null, odds: 'unlikely' }) }),
  'sold-out': () => ({ entry: entry('sold_out') }),
  'sold-out-sale': () => ({ sale: sale({ state: 'sold_out', remaining: 0 }) }),
  'closed-sale': () => ({ sale: sale({ state: 'closed' }) }),
  'closed-waited': () => ({ entry: entry('sold_out', { reason: 'closed' }) }),
  left: () => ({ entry: entry('left') }),
  expired: () => ({ entry: entry('expired') }),
  refused: () => ({ entry: entry('refused') }),
  duplicate: () => ({ entry: entry('refused', { reason: 'duplicate' }) }),
  'over-limit': () => ({ entry: entry('refused', { reason: 'over_limit' }) }),
  banned: () => ({ refusal: 'banned' }),
  paused: () => ({ refusal: 'sale_paused', sale: sale({ state: 'paused' }) }),
  'paused-waiting': () => ({ entry: waiting({}), first: 4800, sale: sale({ state: 'paused', rate_per_second: 0 }) }),
  frozen: () => ({ sale: sale({ state: 'frozen' }) }),
  'frozen-waiting': () => ({ entry: waiting({}), first: 4800, sale: sale({ state: 'frozen', rate_per_second: 0 }) }),
  'line-full': () => ({ refusal: 'line_full' }),
  identity: () => ({ refusal: 'identity_required' }),
  lost: () => ({ refusal: 'bad_token' }),
  moved: () => ({ refusal: 'moved' }),
  move: () => ({ entry: waiting({}), first: 4800, asks: 'give' }),
  take: () => ({ asks: 'take' }),
  'no-such-sale': () => ({ refusal: 'no_such_sale', sale: null }),
  unavailable: () => ({ sale: null, connection: 'unavailable' }),
  offline: () => ({ entry: waiting({}), first: 4800, connection: 'offline' }),
  reconnecting: () => ({ entry: waiting({}), first: 4800, connection: 'reconnecting' }),
  'rate-limited': () => ({ entry: waiting({}), first: 4800, connection: 'limited' }),
  stale: () => ({ entry: waiting({ stale: true }), first: 4800, connection: 'unavailable' }),
};

/** Nothing that a camera could read. */
const OFFER = {
  link: `https://wait.example/w/preview#move=${'preview-'.repeat(18)}`,
  qr: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path fill="#fff" d="M0 0h9v9H0z"/><path stroke="#000" d="M1 1.5h7M1 3.5h2M5 3.5h3M2 5.5h4M1 7.5h1M4 7.5h4"/></svg>',
};

/** Puts `page` into a state, and keeps it there. @param {any} page @param {string} name */
export async function rehearse(page, name) {
  const state = (STATES[name] ?? STATES.waiting)();
  const title = document.body.dataset.title;
  page.sale = state.sale === undefined ? sale({ title }) : state.sale && { ...state.sale, title };
  page.refusal = state.refusal ?? null;
  page.connection = state.connection ? { state: state.connection, by: 'poll' } : state.entry ? { state: 'live', by: 'socket' } : null;
  if (state.entry) {
    const standing = { first: state.first ?? null, wasStandby: state.wasStandby ?? false };
    const { entry, order = null } = state;
    page.place = { entry, order, orderLink: entry.links.order ?? '', hasOwnOrder: !state.shop && Boolean(order), standing };
    page.place.offerMove = async () => OFFER;
  }
  // Nothing may be done here: the buttons are for looking at.
  for (const act of Object.keys(page.view.acts)) if (!['leave', 'cancel', 'move'].includes(act)) page.view.acts[act] = () => {};
  page.sluice.takeOver = () => new Promise(() => {});
  page.started = true;
  page.show();
  setInterval(() => page.update(), 250);
  if (state.asks) await page.move(state.asks);
}
