/**
 * Which scene is on, out of everything that is known. A pure decision: what a scene looks like is view.js.
 *
 * @typedef {object} Known
 * @property {import('../../clients/js/types/contract.js').Sale | null} sale
 * @property {import('../../clients/js/types/contract.js').Entry | null} entry
 * @property {import('../../clients/js/types/contract.js').Order | null} order
 * @property {boolean} ownOrder the order is kept here, not by a shop's own order backend
 * @property {boolean} wasStandby
 * @property {string | null} refusal the code of the problem that ended the last try
 */

/** What a refusal looks like. @type {Record<string, string>} */
const REFUSED = {
  banned: 'banned',
  sale_closed: 'closed_sale',
  sold_out: 'sold_out',
  sale_paused: 'paused',
  line_full: 'line_full',
  identity_required: 'identity',
  no_such_sale: 'no_such_sale',
  bad_token: 'lost',
  token_expired: 'lost',
  wrong_entry: 'lost',
  no_such_entry: 'lost',
  not_open_yet: 'before',
  moved: 'moved',
};

/** Scenes of who has no place, by the sale's state. @type {Record<string, string>} */
const OUTSIDE = {
  scheduled: 'before',
  open: 'join',
  paused: 'join',
  sold_out: 'sold_out',
  closed: 'closed_sale',
  frozen: 'frozen',
};

/** @param {Known} known */
export function sceneOf({ sale, entry, order, ownOrder, wasStandby, refusal }) {
  if (refusal === 'banned') return 'banned';
  if (!entry) {
    if (refusal === 'sale_paused' && sale?.state === 'frozen') return 'frozen';
    if (refusal) return REFUSED[refusal] ?? 'unavailable';
    return sale ? (OUTSIDE[sale.state] ?? 'unavailable') : 'unavailable';
  }
  switch (entry.state) {
    case 'waiting':
      // Passed by the cursor and still waiting: what is left is held by others.
      return entry.position === 1 && !entry.eta_seconds && entry.odds === 'unlikely' ? 'parked' : 'waiting';
    case 'reserved':
      if (!ownOrder) return entry.links?.order ? 'shop' : 'reserved';
      if (!order || order.state === 'awaiting_payment') return wasStandby ? 'offer' : 'reserved';
      return order.state === 'closed' && order.closing_cause === 'cancelled' ? 'cancelled' : order.state;
    case 'sold_out':
      return entry.reason === 'closed' ? 'closed_sale' : 'sold_out';
    case 'refused':
      return entry.reason === 'banned' ? 'banned' : 'refused';
    default:
      return entry.state;
  }
}
