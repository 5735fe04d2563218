/**
 * A place goes to another device (`give`), or comes from one (`take`): dialogs of the waiting page, loaded when they are wanted.
 * The ticket is in the link's fragment, which no server and nobody who previews links is ever sent.
 */

/** Shows the link, and the QR code of it. @param {any} page @param {any} el */
export async function give(page, el) {
  const { words, view, place } = page;
  if (!place || document.querySelector('dialog')) return;
  page.trouble = '';
  let offer;
  try {
    offer = await place.offerMove();
  } catch {
    // If the place is gone, following it says so.
    page.trouble = words.say('join.later');
    return page.show();
  }
  const { link, qr } = offer;
  const field = el('input', { readonly: true, value: link, 'aria-label': words.say('move.link') });
  field.addEventListener('focus', () => field.select());
  const copy = view.button('move.copy', async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(link);
      copy.textContent = words.say('move.copied');
    } catch {
      // Without TLS, or against the browser's will: the link is selected, for the person to copy.
    }
  }, 'main');
  const close = view.button('move.close', () => dialog.close());
  const picture = qr ? [el('img', { width: 256, height: 256, src: `data:image/svg+xml,${encodeURIComponent(qr)}`, alt: words.say('move.qr') })] : [];
  const row = el('div', { class: 'row' }, copy, close);
  const dialog = page.dialog('move.heading', el('p', { text: words.say('move.lead') }), ...picture, field, row);
  copy.focus();
}

/** Asks, and takes over the place of the ticket in the address. @param {any} page @param {any} el */
export function take(page, el) {
  const ticket = location.hash.slice('#move='.length);
  history.replaceState(null, '', location.pathname + location.search);
  ask(page, el, ticket);
}

/** @param {any} page @param {any} el @param {string} ticket */
function ask(page, el, ticket) {
  const { words, view } = page;
  const no = view.button('take.no', () => dialog.close());
  const yes = view.button('take.yes', () => (dialog.close(), redeem(page, el, ticket)), 'main');
  const told = [el('p', { text: words.say('take.warning') })];
  if (page.place && !page.place.isOver) told.push(el('p', { text: words.say('take.instead') }));
  const dialog = page.dialog('take.question', ...told, el('div', { class: 'row' }, yes, no));
  yes.focus();
}

/** @param {any} page @param {any} el @param {string} ticket */
async function redeem(page, el, ticket) {
  page.trouble = '';
  page.busy = 'join';
  page.show();
  try {
    const place = await page.sluice.takeOver(ticket);
    page.place?.stop();
    page.take(place);
  } catch (error) {
    const { code, isPassing } = /** @type {any} */ (error);
    page.trouble = page.words.say(isPassing ? 'join.later' : code === 'already_moved' ? 'take.used' : 'take.old');
    if (isPassing) ask(page, el, ticket);
  }
  page.busy = '';
  page.show();
}
