/**
 * Seats as people type them: labels, and ranges of them. What a label may be is the API's to judge.
 *
 * `01A` is a label; `01A-01F` is a row; `01A-16F` are rows 01 to 16, each from A to F; `01-16ABCDF` are those letters of each; `1-40` are
 * numbers. What looks like neither end of a range is a label, dash and all.
 */

/** The most seats a SKU may have. No range is followed far beyond: the API says no to one more. */
const SEATS_MAX = 5_000;

/** What stands before the number, the number, and the letter in its row. */
const LABEL = /^(\D*?)(\d{1,6})([A-Za-z]?)$/;
const ROWS_AND_LETTERS = /^(\D*?)(\d{1,6})-(\d{1,6})([A-Za-z]{2,})$/;

/**
 * The labels of a text, in its order, and the first range in it that is none.
 *
 * @param {string} text
 * @returns {{ seats: string[], wrong: string | null }}
 */
export function readSeats(text) {
  /** @type {string[]} */
  const seats = [];
  for (const word of text.split(/[\s,;，；、]+/).filter((one) => one !== "")) {
    const labels = expand(word);
    if (labels === null) return { seats, wrong: word };
    for (const label of labels) {
      if (seats.length > SEATS_MAX) return { seats, wrong: null };
      seats.push(label);
    }
  }
  return { seats, wrong: null };
}

/**
 * The names of stops, one per line or between commas: a name may have spaces.
 *
 * @param {string} text
 */
export function readStops(text) {
  return text.split(/[\n,;，；、]+/).map((one) => one.trim()).filter((one) => one !== "");
}

/**
 * The labels a word stands for; `null` if it is a range that runs backwards, or between labels that are not alike.
 *
 * @param {string} word
 * @returns {Iterable<string> | null}
 */
function expand(word) {
  const block = ROWS_AND_LETTERS.exec(word);
  if (block) return rows(block[1], block[2], block[3], [...block[4]]);
  const ends = word.split("-");
  if (ends.length !== 2) return [word];
  const first = LABEL.exec(ends[0]);
  // `01A-F` is a row as well.
  const last = first && /^[A-Za-z]$/.test(ends[1]) ? [ends[1], first[1], first[2], ends[1]] : LABEL.exec(ends[1]);
  if (!first || !last) return [word];
  const between = letters(first[3], last[3]);
  if (between === null || ![first[1], ""].includes(last[1])) return null;
  return rows(first[1], first[2], last[2], between);
}

/**
 * @param {string} before
 * @param {string} from
 * @param {string} to
 * @param {string[]} places
 * @returns {Iterable<string> | null}
 */
function rows(before, from, to, places) {
  if (Number(from) > Number(to)) return null;
  return (function* () {
    for (let row = Number(from); row <= Number(to); row += 1) {
      for (const place of places) yield `${before}${String(row).padStart(from.length, "0")}${place}`;
    }
  })();
}

/**
 * @param {string} from a letter, or ""
 * @param {string} to
 * @returns {string[] | null}
 */
function letters(from, to) {
  if (from === "" && to === "") return [""];
  if (from === "" || to === "" || from > to || (from <= "Z") !== (to <= "Z")) return null;
  const [first, last] = [from.charCodeAt(0), to.charCodeAt(0)];
  return Array.from({ length: last - first + 1 }, (_, place) => String.fromCharCode(first + place));
}
