/**
 * A sale's report, minute by minute, as `report.csv` has it. Its cells are numbers, times and a currency: no quotes.
 *
 * @typedef {{ at: number, joined: number, reserved: number, sold_out: number, left: number, expired: number, refused: number,
 *   orders_paid: number, paid_amount: number, orders_closed: number, orders_fulfilled: number, orders_failed: number,
 *   orders_refunded: number, currency: string }} Minute
 */

/**
 * @param {string} text
 * @returns {Minute[]}
 */
export function parse(text) {
  const [head, ...rows] = text.trim().split("\n");
  const names = head.split(",");
  return rows
    .filter((row) => row !== "")
    .map((row) => {
      /** @type {any} */
      const minute = { at: 0, currency: "" };
      row.split(",").forEach((cell, place) => {
        const name = names[place];
        if (name === "minute") minute.at = Date.parse(cell);
        else minute[name] = name === "currency" ? cell : Number(cell);
      });
      return minute;
    });
}

/**
 * The sum of one column.
 *
 * @param {Minute[]} minutes
 * @param {keyof Minute} column
 */
export function total(minutes, column) {
  return minutes.reduce((sum, minute) => sum + Number(minute[column]), 0);
}
