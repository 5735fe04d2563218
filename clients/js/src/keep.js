/** Where a place is remembered between visits: the browser's own storage, or memory where that is not to be had. */

/** @typedef {import('../types/contract.js').Kept} Kept */
/** @typedef {import('../types/contract.js').Keeper} Keeper */

/**
 * In `localStorage`, shared by all tabs of this origin. Where a browser forbids that, in memory.
 *
 * @param {string} name
 * @returns {Keeper}
 */
export function inBrowser(name) {
  /** @type {Storage} */
  let storage;
  try {
    storage = globalThis.localStorage;
    const probe = `${name}:probe`;
    storage.setItem(probe, '1');
    storage.removeItem(probe);
  } catch {
    return inMemory();
  }
  const read = () => parse(storage.getItem(name));
  return {
    read,
    write(kept) {
      try {
        storage.setItem(name, JSON.stringify(kept));
      } catch {
        // Full or forbidden meanwhile: the place lives on in this tab.
      }
    },
    clear: () => storage.removeItem(name),
    watch(changed) {
      /** @param {StorageEvent} event */
      const heard = (event) => {
        if (event.key === name || event.key === null) changed(read());
      };
      addEventListener('storage', heard);
      return () => removeEventListener('storage', heard);
    },
  };
}

/** @returns {Keeper} */
export function inMemory() {
  /** @type {Kept | null} */
  let kept = null;
  return {
    read: () => kept,
    write: (next) => void (kept = next),
    clear: () => void (kept = null),
    watch: () => () => {},
  };
}

/** @param {string | null} text @returns {Kept | null} */
function parse(text) {
  try {
    const kept = JSON.parse(text ?? 'null');
    return typeof kept?.entry === 'string' && typeof kept.token === 'string' ? kept : null;
  } catch {
    return null;
  }
}
