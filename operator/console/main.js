/**
 * The console: who works here, which screen is shown, and the bar above it. Each screen is a module of `screens/` that gives an
 * element, a title, and what ends it.
 *
 * @typedef {{ title: string, element: HTMLElement, stop?: () => void }} Screen
 */

import { Problem, get } from "./parts/api.js";
import { fresh } from "./parts/freshness.js";
import { byId, h, put, say } from "./parts/dom.js";
import { begin, end, holder, isIn, may, token, whenItEnds } from "./parts/session.js";
import { alert } from "./parts/tell.js";
import { LANGUAGES, choose, current, named, t, tag } from "./words/words.js";
import { showAudit } from "./screens/audit.js";
import { showBans } from "./screens/bans.js";
import { showBooks } from "./screens/books.js";
import { showCreate } from "./screens/create.js";
import { showLetters } from "./screens/letters.js";
import { showSale } from "./screens/sale.js";
import { showSales } from "./screens/sales.js";
import { showSignIn } from "./screens/sign-in.js";

/** @type {Screen | null} */
let screen = null;
/** What is shown; `null` at the door. @type {string | null} */
let route = null;

whenItEnds((why) => void door(why));
window.addEventListener("hashchange", () => walk(true));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
void open();

/** Lets in whoever has signed in before, in this tab. */
async function open() {
  if (token() === null) return door("");
  try {
    begin(await get("/v1/me"));
    walk(false);
  } catch (error) {
    // A wrong token has ended the session and shown the door already.
    if (error instanceof Problem && error.status === 401) return;
    if (error instanceof Problem && error.status === 403) return end(error.detail);
    bar();
    put(byId("main"), h("div", { class: "alone" }, alert(error),
      h("button", { class: "button primary", onclick: () => void open() }, t("again"))));
  }
}

/**
 * @param {string} why
 */
function door(why) {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  route = null;
  show(showSignIn(why, () => walk(true)), true);
  bar();
}

/**
 * Shows what the address names.
 *
 * @param {boolean} moved whether somebody went there, so that the reading begins anew
 */
function walk(moved) {
  if (!isIn()) return;
  const next = location.hash.replace(/^#\/?/, "");
  if (next === route && moved) return;
  route = next;
  const [place, name, tab] = next.split("/").map(decodeURIComponent);
  show(find(place, name, tab), moved);
  bar();
}

/**
 * @param {string} place
 * @param {string | undefined} name
 * @param {string | undefined} tab
 * @returns {Screen}
 */
function find(place, name, tab) {
  if (place === "sale" && name) return showSale(name, tab ?? "live");
  if (place === "new" && may("operator")) return showCreate();
  if (place === "letters") return showLetters();
  if (place === "books") return showBooks();
  if (place === "bans") return showBans();
  if (place === "audit") return showAudit();
  return showSales();
}

/**
 * @param {Screen} next
 * @param {boolean} moved
 */
function show(next, moved) {
  screen?.stop?.();
  fresh();
  screen = next;
  document.documentElement.lang = tag();
  document.title = `${next.title} · Sluice`;
  say(byId("skip"), t("skip"));
  put(byId("main"), next.element);
  next.element.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (moved) {
    window.scrollTo(0, 0);
    byId("main").focus({ preventScroll: true });
  }
}

/** The bar: where one can go, in which language, and who is here. */
function bar() {
  const inside = isIn();
  const places = /** @type {const} */ ([
    ["", t("nav.sales")],
    ["letters", t("nav.letters")],
    ["books", t("nav.books")],
    ["bans", t("nav.bans")],
    ["audit", t("nav.audit")],
  ]);
  const here = (route ?? "").split("/")[0];
  const at = here === "sale" || here === "new" ? "" : here;
  put(
    byId("bar"),
    h("a", { class: "brand", href: "#/", "aria-label": t("brand") }, mark(), h("span", null, "Sluice")),
    inside &&
      h("nav", { "aria-label": t("nav") },
        places.map(([place, name]) =>
          h("a", { href: `#/${place}`, "aria-current": place === at ? "page" : null }, name))),
    h("div", { class: "who" },
      inside && h("span", { class: "me" }, h("span", { class: "name" }, holder().name), h("span", { class: "role" }, named("role", holder().role))),
      languages(),
      inside && h("button", { class: "button quiet", onclick: () => end("") }, t("sign-out"))),
  );
  byId("bar").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

/** The waves of the icon. */
function mark() {
  return h("img", { src: "/console/icon.svg", alt: "", width: 28, height: 28 });
}

function languages() {
  const select = h(
    "select",
    {
      "aria-label": t("language"),
      class: "language",
      onchange: (/** @type {Event} */ event) => {
        choose(/** @type {HTMLSelectElement} */ (event.target).value);
        if (isIn()) walk(false);
        else door("");
        /** @type {HTMLElement | null} */ (document.querySelector(".language"))?.focus();
      },
    },
    Object.entries(LANGUAGES).map(([key, one]) =>
      h("option", { value: key, lang: one.tag, selected: key === current() }, one.name)),
  );
  return select;
}
