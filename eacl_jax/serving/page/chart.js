// The emotions over the conversation: a lane a label, a column an utterance, dots by probability.

import { inWords, isOfSeveral, labelsOf } from "./answers.js";
import { html, isolated, svg } from "./element.js";
import { count, percent } from "./numbers.js";

const STEP = { least: 16, most: 96 };
const AXIS = 22;
// Room for half of the last column's number.
const EDGE = 10;
// Smaller dots than this many pixels in radius are specks that say nothing.
const SPECK = 0.8;
// Of more labels than this, those that are never probable get no lane; where an utterance may have several, those that none has.
const MANY = 12;
const PROBABLE = 0.1;
// Where the page is this narrow (page.css has the same), a label's name stands above its lane, over the plot's whole width.
const NARROW = matchMedia("(max-width: 560px)");
const NAME = 18;

export class Chart {
  #reading = document.querySelector("#chart-reading");
  #omitted = document.querySelector("#omitted");
  #names = document.querySelector("#lanes");
  #plot = document.querySelector("#plot");
  #labels = [];
  #several = false;
  #none = false;
  #hues = new Map();
  #utterances = [];
  #peak = 1;
  #index = null;
  #step = STEP.most;
  #band = 28;
  #name = 0;
  #marked = null;

  /** `choose(index)` is called when the reader chooses an utterance. */
  constructor(choose) {
    this.choose = choose;
    this.#plot.addEventListener("click", (event) => {
      const index = this.#at(event);
      if (index !== null) choose(index);
    });
    this.#plot.addEventListener("pointermove", (event) => {
      const index = this.#at(event);
      this.#plot.title = index === null ? "" : this.#words(index);
    });
    this.#plot.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
  }

  /** Shows all utterances anew. `hues` maps labels to numbers of colours. */
  show(utterances, labels, hues) {
    this.#utterances = utterances;
    const peaks = labels.map((label) => Math.max(...utterances.map((each) => each.probabilities[label])));
    this.#peak = Math.max(...peaks);
    const answers = new Set(utterances.flatMap(labelsOf));
    const few = labels.length <= MANY;
    this.#several = utterances.some(isOfSeveral);
    this.#none = utterances.some((each) => !labelsOf(each).length);
    this.#labels = labels.filter((label, index) => few || answers.has(label) || (!this.#several && peaks[index] >= PROBABLE));
    this.#hues = hues;
    this.#band = this.#labels.length > MANY ? 22 : 28;
    const omitted = labels.length - this.#labels.length;
    const why = this.#several ? "that no utterance has" : `that never reach ${percent(PROBABLE)}`;
    this.#omitted.textContent = omitted ? `${count(omitted, "label")} ${why} are left out.` : "";
    this.#reading.textContent = this.#several
      ? "The larger the dot, the more probable. Full dots are the utterance’s labels; pale ones stay below their label’s threshold."
      : "The larger the dot, the more probable; the line joins the most probable ones.";
    this.#names.replaceChildren(
      ...this.#labels.map((label) => html("li", { "data-hue": hues.get(label), title: label }, html("bdi", {}, label))),
      ...(this.#none ? [html("li", { class: "none" }, html("bdi", {}, "none of them"))] : []),
    );
    this.#plot.setAttribute("aria-valuemin", 1);
    this.#plot.setAttribute("aria-valuemax", utterances.length);
    this.select(null);
    this.#draw();
  }

  /** Marks the chosen utterance, or none for null. */
  select(index) {
    this.#index = index;
    this.#plot.setAttribute("aria-valuenow", (index ?? 0) + 1);
    this.#plot.setAttribute("aria-valuetext", index === null ? "none chosen" : this.#words(index));
    this.#mark();
  }

  /** Brings the chosen column into sight where the plot is wider than the page. */
  reveal(index) {
    const [left, right] = [index * this.#step, (index + 1) * this.#step];
    if (left < this.#plot.scrollLeft) this.#plot.scrollLeft = left;
    else if (right > this.#plot.scrollLeft + this.#plot.clientWidth) this.#plot.scrollLeft = right - this.#plot.clientWidth;
  }

  #words(index) {
    const { speaker, text } = this.#utterances[index];
    const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
    return `${index + 1} of ${this.#utterances.length}, ${inWords(this.#utterances[index])}. ${isolated(speaker)}: ${isolated(short)}`;
  }

  #at(event) {
    const x = event.clientX - this.#plot.getBoundingClientRect().left + this.#plot.scrollLeft;
    const index = Math.floor(x / this.#step);
    return index >= 0 && index < this.#utterances.length ? index : null;
  }

  #onKey(event) {
    const last = this.#utterances.length - 1;
    const current = this.#index ?? -1;
    const next = Math.min(current + 1, last);
    const back = Math.max(current - 1, 0);
    const targets = { ArrowRight: next, ArrowUp: next, ArrowLeft: back, ArrowDown: back, Home: 0, End: last };
    const target = targets[event.key];
    if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.choose(target);
  }

  #draw() {
    const room = this.#plot.clientWidth;
    const columns = this.#utterances.length;
    if (!room || !columns) return;
    this.#step = Math.max(STEP.least, Math.min(STEP.most, (room - EDGE) / columns));
    this.#name = NARROW.matches ? NAME : 0;
    this.#names.style.setProperty("--lane", `${this.#lane}px`);
    const width = Math.max(room, this.#step * columns + EDGE);
    const rows = this.#labels.length + (this.#none ? 1 : 0);
    const height = this.#lane * rows;
    this.#marked = svg("rect", { class: "marked", y: 0, width: this.#step, height, rx: 4 });
    this.#plot.replaceChildren(
      svg(
        "svg",
        { width, height: height + AXIS, "aria-hidden": "true" },
        this.#marked,
        ...[...Array(rows).keys()].map((row) => svg("line", { class: "rule", x1: 0, x2: width, y1: this.#y(row), y2: this.#y(row) })),
        ...(this.#several ? [] : [svg("polyline", { class: "course", points: this.#course() })]),
        ...this.#utterances.flatMap((each, column) => this.#dots(each, column)),
        ...this.#ticks(height),
      ),
    );
    this.#mark();
  }

  get #lane() {
    return this.#name + this.#band;
  }

  #x(column) {
    return (column + 0.5) * this.#step;
  }

  #y(row) {
    return row * this.#lane + this.#name + this.#band / 2;
  }

  #course() {
    return this.#utterances.map((each, column) => `${this.#x(column)},${this.#y(this.#labels.indexOf(each.emotion))}`).join(" ");
  }

  // The area tells the probability, as the eye compares areas; the most probable of all fills its cell.
  #dots(utterance, column) {
    const largest = Math.min(this.#step, this.#band) / 2 - 1;
    const none = { class: "dot-none", cx: this.#x(column), cy: this.#y(this.#labels.length), r: Math.min(largest, 6) };
    return [...this.#ofLabels(utterance, column, largest), ...(labelsOf(utterance).length ? [] : [svg("circle", none)])];
  }

  #ofLabels(utterance, column, largest) {
    const answered = labelsOf(utterance);
    return this.#labels.flatMap((label, row) => {
      const radius = largest * Math.sqrt(utterance.probabilities[label] / this.#peak);
      if (radius < SPECK) return [];
      const kind = answered.includes(label) ? "dot-best" : "dot-other";
      return [svg("circle", { class: kind, "data-hue": this.#hues.get(label), cx: this.#x(column), cy: this.#y(row), r: radius })];
    });
  }

  #ticks(height) {
    const every = this.#step >= 24 ? 1 : 5;
    return this.#utterances.flatMap((_, column) =>
      (column + 1) % every && column ? [] : [svg("text", { class: "tick", x: this.#x(column), y: height + 15 }, String(column + 1))],
    );
  }

  #mark() {
    if (!this.#marked) return;
    this.#marked.setAttribute("x", (this.#index ?? 0) * this.#step);
    this.#marked.style.setProperty("display", this.#index === null ? "none" : "inline");
  }
}
