/** What a sale has to sell, in the units its remaining is told in: units of a counted SKU, seats of a seated one. */

/**
 * @param {any} sku
 * @returns {number}
 */
export function unitsOf(sku) {
  return sku.stock ?? sku.seats?.length ?? 0;
}

/**
 * All of a sale.
 *
 * @param {any} sale
 * @returns {number}
 */
export function stockOf(sale) {
  return sale.skus.reduce((/** @type {number} */ sum, /** @type {any} */ sku) => sum + unitsOf(sku), 0);
}
