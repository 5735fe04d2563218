/**
 * Curves over time, drawn as `sluice simulate --plot` draws them: a grid of round ticks, told apart by dashes as well as by
 * colour. A chart is as wide as its place and is drawn anew when that changes; a pointer over it reads the values.
 *
 * @typedef {{ name: string, points: readonly (readonly [number, number | null])[] }} Curve
 * @typedef {{ from: number, to: number, curves: Curve[] }} Data times are milliseconds, or whatever `time` reads
 * @typedef {{ title: string, value: (value: number) => string, time: (at: number) => string, ticks?: (from: number, to: number) => number[],
 *   gap?: number }} Manner `gap`: points further apart are not joined
 */

import { h, put, svg } from "./dom.js";
import { t } from "../words/words.js";

const HEIGHT = 150;
const LEFT = 54;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
/** Points of a curve; more would not be seen. */
const POINTS_MAX = 600;

export class Chart {
  /**
   * @param {Manner} manner
   */
  constructor(manner) {
    this.manner = manner;
    /** @type {Data} */
    this.data = { from: 0, to: 1, curves: [] };
    this.picture = svg("svg", { class: "picture", role: "img", height: HEIGHT });
    this.reading = h("span", { class: "reading", "aria-hidden": "true" });
    this.legend = h("span", { class: "legend", "aria-hidden": "true" });
    /** @type {number | null} */
    this.pointer = null;
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", null, h("span", { class: "chart-title" }, manner.title), this.legend, this.reading),
      this.picture,
    );
    this.picture.addEventListener("pointermove", (event) => this.point(/** @type {PointerEvent} */ (event)));
    this.picture.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    this.width = 0;
    this.watcher = new ResizeObserver(() => {
      const width = this.element.clientWidth;
      if (width !== this.width) {
        this.width = width;
        this.draw();
      }
    });
    this.watcher.observe(this.element);
  }

  /**
   * @param {Data} data
   */
  show(data) {
    this.data = data;
    this.draw();
  }

  /**
   * @param {PointerEvent} event
   */
  point(event) {
    this.pointer = event.clientX - this.picture.getBoundingClientRect().left;
    this.draw();
  }

  draw() {
    const { from, to, curves } = this.data;
    const width = Math.max(this.width, 240);
    this.picture.setAttribute("width", String(width));
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const highest = most(curves);
    const inner = { width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
    const x = (/** @type {number} */ at) => LEFT + (inner.width * (at - from)) / Math.max(to - from, 1);
    const y = (/** @type {number} */ value) => TOP + inner.height * (1 - value / highest);
    put(
      this.picture,
      svg("title", null, this.sentence()),
      ticks(highest).map((tick) => [
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "tick", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
      ]).flat(),
      (this.manner.ticks ?? evenly(width))(from, to).map((at) =>
        svg("text", { class: "tick", x: x(at), y: HEIGHT - 5, "text-anchor": anchor(at, from, to) }, this.manner.time(at)),
      ),
      curves.map((curve, place) => this.curve(curve, place, x, y)).flat(),
      this.cursor(x, width),
    );
    put(
      this.legend,
      curves.length < 2 ? null : curves.map((curve, place) => h("span", { class: `key key-${place}` }, curve.name)),
    );
  }

  /**
   * @param {Curve} curve
   * @param {number} place
   * @param {(at: number) => number} x
   * @param {(value: number) => number} y
   */
  curve(curve, place, x, y) {
    const every = Math.max(1, Math.ceil(curve.points.length / POINTS_MAX));
    const lines = [];
    /** @type {string[]} */
    let line = [];
    let before = -Infinity;
    curve.points.forEach(([at, value], index) => {
      if (index % every !== 0 && index !== curve.points.length - 1) return;
      const apart = at - before > Math.max((this.manner.gap ?? Infinity) * every, 0);
      if ((value === null || apart) && line.length > 0) {
        lines.push(line);
        line = [];
      }
      if (value !== null && at >= this.data.from) line.push(`${x(at).toFixed(1)},${y(value).toFixed(1)}`);
      before = at;
    });
    if (line.length > 0) lines.push(line);
    return lines.map((points) =>
      // One point alone would not be seen as a line.
      points.length === 1
        ? svg("circle", { class: `dot dot-${place}`, cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 1.5 })
        : svg("polyline", { class: `curve curve-${place}`, points: points.join(" ") }),
    );
  }

  /**
   * What a pointer reads, or else what came last.
   *
   * @param {(at: number) => number} x
   * @param {number} width
   */
  cursor(x, width) {
    const { from, to, curves } = this.data;
    const at =
      this.pointer === null ? null : from + ((this.pointer - LEFT) / (width - LEFT - RIGHT)) * (to - from);
    const near = curves.map((curve) => nearest(curve.points, at));
    const known = near.filter((point) => point !== null);
    const values = near.map((point) => (point === null || point[1] === null ? "–" : this.manner.value(point[1])));
    const told = at === null || known.length === 0 ? "" : `${this.manner.time(known[0][0])}  `;
    put(this.reading, curves.length === 0 ? "" : told + values.join(" / "));
    if (at === null || known.length === 0) return null;
    return svg("line", { class: "cursor", x1: x(known[0][0]), x2: x(known[0][0]), y1: TOP, y2: HEIGHT - BOTTOM });
  }

  /** What the picture says, for those who do not see it. */
  sentence() {
    const parts = this.data.curves.map((curve) => {
      const values = curve.points.map(([, value]) => value).filter((value) => value !== null);
      if (values.length === 0) return `${curve.name}: –`;
      const tell = (/** @type {number} */ value) => this.manner.value(value);
      return t("chart.says", {
        name: curve.name,
        last: tell(values[values.length - 1]),
        least: tell(values.reduce((least, value) => Math.min(least, value))),
        most: tell(values.reduce((highest, value) => Math.max(highest, value))),
      });
    });
    return `${this.manner.title}. ${parts.join(". ")}`;
  }

  stop() {
    this.watcher.disconnect();
  }
}

/**
 * @param {Curve[]} curves
 */
function most(curves) {
  let highest = 0;
  for (const curve of curves) {
    for (const [, value] of curve.points) if (value !== null && value > highest) highest = value;
  }
  return highest > 0 ? highest * 1.05 : 1;
}

/**
 * From zero up, at steps of 1, 2 or 5 times a power of ten.
 *
 * @param {number} highest
 */
export function ticks(highest) {
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => highest / one <= 4) ?? highest;
  const found = [];
  for (let tick = 0; tick <= highest; tick += step) found.push(tick);
  return found;
}

/**
 * @param {number} value
 */
function short(value) {
  if (value >= 1e6) return `${trimmed(value / 1e6)}M`;
  if (value >= 1e4) return `${trimmed(value / 1e3)}k`;
  return trimmed(value);
}

/**
 * @param {number} value
 */
function trimmed(value) {
  return String(Math.round(value * 1000) / 1000);
}

/**
 * @param {number} width
 */
function evenly(width) {
  const pieces = width < 420 ? 2 : 4;
  return (/** @type {number} */ from, /** @type {number} */ to) =>
    Array.from({ length: pieces + 1 }, (_, place) => from + ((to - from) * place) / pieces);
}

/**
 * @param {number} at
 * @param {number} from
 * @param {number} to
 */
function anchor(at, from, to) {
  if (at <= from) return "start";
  return at >= to ? "end" : "middle";
}

/**
 * The point nearest to a time; the last one when there is none.
 *
 * @param {Curve["points"]} points
 * @param {number | null} at
 */
function nearest(points, at) {
  if (points.length === 0) return null;
  if (at === null) return points[points.length - 1];
  return points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
}
