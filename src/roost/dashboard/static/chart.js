// <roost-chart>: lines over time on a canvas, with a legend, and a table for who cannot see it.

import { h, fill } from "./dom.js";
import { extent, placed, reduced, ticks } from "./scale.js";
import { axisText, numberText } from "./words.js";

const LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 22;

export class Chart extends HTMLElement {
  #lines = [];
  #canvas = h("canvas", { "aria-hidden": "true" });
  #legend = h("ul", { class: "legend" });
  #title = h("h3", {});
  #watcher = null;
  #frame = 0;
  #sought = null;
  /** Called with [from, to] when a stretch was marked, in the unit of x. */
  onzoom = null;

  connectedCallback() {
    fill(this, this.#title, this.#canvas, this.#legend);
    this.setAttribute("role", "img");
    if (!this.hasAttribute("aria-label")) this.setAttribute("aria-label", "A graph: nothing is drawn yet");
    this.#watcher = new ResizeObserver(() => this.draw());
    this.#watcher.observe(this);
    this.#canvas.addEventListener("pointerdown", (it) => this.#begin(it));
    this.#canvas.addEventListener("pointerup", (it) => this.#end(it));
  }

  disconnectedCallback() {
    this.#watcher.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** Show lines: [{name, points: [[x, y, low, high], ...]}], x in seconds since 1970. */
  show(title, unit, lines) {
    this.#lines = lines;
    this.unit = unit;
    fill(this.#title, title, unit ? h("small", {}, ` ${unit}`) : []);
    const last = (line) => line.points.length ? line.points[line.points.length - 1][1] : null;
    fill(this.#legend, lines.map((line, at) => h("li", { class: `line${at % 8}` },
      h("span", { class: "swatch", "aria-hidden": "true" }), `${line.name} `,
      h("b", {}, numberText(last(line))))));
    const said = lines.map((line) => `${line.name} ${numberText(last(line))}`).join(", ");
    this.setAttribute("aria-label", `${title} ${unit ?? ""}: ${said || "nothing yet"}`);
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.draw());
  }

  #xAt(event) {
    const [from, to] = extent(this.#lines, (it) => [it[0]]);
    const width = this.#canvas.clientWidth;
    return from + ((event.offsetX - LEFT) / (width - LEFT - RIGHT)) * (to - from);
  }

  #begin(event) {
    if (this.onzoom) this.#sought = this.#xAt(event);
  }

  #end(event) {
    if (this.#sought === null) return;
    const [from, to] = [this.#sought, this.#xAt(event)].sort((a, b) => a - b);
    this.#sought = null;
    if (this.onzoom && to > from) this.onzoom([from, to]);
  }

  draw() {
    this.#frame = 0;
    const canvas = this.#canvas, part = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    canvas.width = Math.round(width * part);
    canvas.height = Math.round(height * part);
    const pen = canvas.getContext("2d");
    pen.scale(part, part);
    const style = getComputedStyle(this);
    const grid = ticks(...this.#range());
    const box = { width, height, least: grid[0], most: grid[grid.length - 1] };
    [box.from, box.to] = extent(this.#lines, (it) => [it[0]]);
    this.#axes(pen, style, grid, box);
    this.#lines.forEach((line, at) => this.#line(pen, style, line, at, box));
  }

  #range() {
    const [least, most] = extent(this.#lines, (it) => it.slice(1));
    return [Math.min(0, least), Math.max(0, most)];
  }

  #axes(pen, style, grid, box) {
    pen.font = "11px system-ui, sans-serif";
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.fillStyle = style.getPropertyValue("--quiet");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of grid) {
      const y = Math.round(placed(value, box.least, box.most, box.height - BOTTOM, TOP)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, y);
      pen.lineTo(box.width - RIGHT, y);
      pen.stroke();
      pen.fillText(numberText(value), LEFT - 6, y);
    }
    pen.textBaseline = "bottom";
    for (const [x, align] of [[box.from, "left"], [box.to, "right"]]) {
      if (!this.#lines.some((it) => it.points.length)) break;
      pen.textAlign = align;
      pen.fillText(axisText(x, box.from, box.to), align === "left" ? LEFT : box.width - RIGHT, box.height - 2);
    }
  }

  #line(pen, style, line, at, box) {
    const points = reduced(line.points, Math.max(1, box.width - LEFT - RIGHT));
    const x = (it) => placed(it[0], box.from, box.to, LEFT, box.width - RIGHT);
    const y = (value) => placed(value, box.least, box.most, box.height - BOTTOM, TOP);
    const colour = style.getPropertyValue(`--line${at % 8}`);
    const banded = points.filter((it) => it.length > 3 && it[2] !== null && it[3] !== null);
    if (banded.length > 1) {
      pen.fillStyle = colour;
      pen.globalAlpha = 0.18;
      pen.beginPath();
      banded.forEach((it) => pen.lineTo(x(it), y(it[3])));
      banded.reverse().forEach((it) => pen.lineTo(x(it), y(it[2])));
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.beginPath();
    let isOn = false;
    for (const it of points) {
      if (it[1] === null || Number.isNaN(it[1])) { isOn = false; continue; }
      if (isOn) pen.lineTo(x(it), y(it[1]));
      else pen.moveTo(x(it), y(it[1]));
      isOn = true;
    }
    pen.stroke();
    pen.lineWidth = 1;
    if (points.length === 1 && points[0][1] !== null) {
      pen.fillStyle = colour;
      pen.fillRect(x(points[0]) - 2, y(points[0][1]) - 2, 4, 4);
    }
  }
}

customElements.define("roost-chart", Chart);

/** A chart that is ready to be shown something. */
export const chart = (attributes = {}) => h("roost-chart", attributes);
