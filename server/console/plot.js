// A plot of the last minutes.

import { brief, el, put, svg } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 110;
const LEFT = 38;
const BOTTOM = 94;
const TOP = 6;

/** The least round number that is not below `value`. */
function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

export class Plot {
  constructor(title, unit, key, kind = "") {
    this.key = key;
    this.unit = unit;
    this.now = el("b");
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    this.element = el("div", { class: `plot ${kind}` }, el("h3", {}, title, el("span", {}, this.now, ` ${unit}`)), this.drawing);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.draw(this.samples));
  }

  x(at) {
    const { first, last } = this.range;
    return LEFT + ((at - first) / Math.max(1, last - first)) * (WIDTH - LEFT - 4);
  }

  draw(samples) {
    this.samples = samples;
    if (!samples.length) return;
    const last = samples[samples.length - 1].t;
    // At least two minutes, so that the first seconds do not look like history.
    this.range = { first: Math.min(samples[0].t, last - 120000), last };
    const top = ceiling(Math.max(...samples.map((sample) => sample[this.key])));
    const y = (value) => BOTTOM - (value / top) * (BOTTOM - TOP);
    const points = samples.map((s) => `${this.x(s.t).toFixed(1)},${y(s[this.key]).toFixed(1)}`);
    const label = (value) => svg("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, brief(value));
    const line = (value) => svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 4, y1: y(value), y2: y(value) });
    const minutes = Math.round((last - this.range.first) / 60000);
    put(this.drawing,
      line(0), line(top / 2), line(top), label(0), label(top / 2), label(top),
      svg("polygon", { class: "area", points: `${this.x(samples[0].t)},${BOTTOM} ${points.join(" ")} ${this.x(last)},${BOTTOM}` }),
      svg("polyline", { class: "curve", points: points.join(" ") }),
      svg("text", { x: LEFT, y: HEIGHT - 2 }, `${minutes} min ago`),
      svg("text", { x: WIDTH - 4, y: HEIGHT - 2, "text-anchor": "end" }, "now"));
    this.now.textContent = brief(samples[samples.length - 1][this.key]);
  }

  /** Shows the value under the pointer. */
  point(event) {
    if (!this.samples?.length) return;
    const box = this.drawing.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    const near = this.samples.reduce((a, b) => (Math.abs(this.x(b.t) - at) < Math.abs(this.x(a.t) - at) ? b : a));
    this.draw(this.samples);
    const x = this.x(near.t);
    this.drawing.append(svg("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: BOTTOM }));
    this.now.textContent = `${new Date(near.t).toLocaleTimeString()}  ${brief(near[this.key])}`;
  }
}
