// The conversation as a chat: a list box of bubbles, coloured and named by their emotion.

import { NONE, isOfSeveral, labelsOf } from "./answers.js";
import { caveats } from "./caveats.js";
import { html } from "./element.js";
import { withThese } from "./features.js";
import { percent } from "./numbers.js";

// From here on the list scrolls by itself, so that the chart and the panel stay in sight.
const LONG = 16;

export class Chat {
  #list = document.querySelector("#chat");
  #sides = new Map();
  #options = [];

  /** `choose(index)` is called when the reader chooses an utterance. */
  constructor(choose) {
    this.choose = choose;
    this.#list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) choose(this.#options.indexOf(option));
    });
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Shows all utterances anew. `hues` maps labels to numbers of colours. */
  show(utterances, hues) {
    this.#sides.clear();
    this.#options = utterances.map((each) => this.#bubble(each, hues));
    this.#list.replaceChildren(...this.#options);
    this.#list.classList.toggle("long", utterances.length > LONG);
    this.select(null);
  }

  /** Shows one more at the end. */
  append(utterance, hues) {
    const option = this.#bubble(utterance, hues);
    this.#options.push(option);
    this.#list.append(option);
    this.#list.classList.toggle("long", this.#options.length > LONG);
    option.scrollIntoView({ block: "nearest" });
  }

  /** Marks the chosen utterance, or none for null; Tab leads to `stop`. */
  select(index, stop = index ?? 0) {
    this.#options.forEach((option, number) => {
      option.setAttribute("aria-selected", String(number === index));
      option.tabIndex = number === stop ? 0 : -1;
    });
  }

  /** Brings an utterance into the list's sight where the list scrolls by itself; the page stays where it is. */
  reveal(index) {
    const [list, option] = [this.#list.getBoundingClientRect(), this.#options[index].getBoundingClientRect()];
    if (option.top < list.top) this.#list.scrollTop -= list.top - option.top;
    else if (option.bottom > list.bottom) this.#list.scrollTop += option.bottom - list.bottom;
  }

  /** Takes the keyboard to an utterance. */
  focus(index) {
    this.#options[index].focus();
  }

  #bubble(utterance, hues) {
    const { speaker, text } = utterance;
    const given = withThese(utterance);
    // Without a label it has no colour either.
    const [first = null] = labelsOf(utterance);
    const hue = first === null ? null : hues.get(first);
    if (!this.#sides.has(speaker)) this.#sides.set(speaker, this.#sides.size === 1 ? "right" : "left");
    return html(
      "li",
      { role: "option", class: `bubble ${this.#sides.get(speaker)}${first === null ? " none" : ""}`, "data-hue": hue, tabindex: -1 },
      html("span", { class: "speaker", dir: "auto" }, speaker),
      html("span", { class: "text", dir: "auto" }, text),
      ...(given ? [html("span", { class: "given" }, given)] : []),
      isOfSeveral(utterance) ? several(utterance, hues) : html("span", { class: "emotion" }, ...named(utterance, first)),
      ...caveats(utterance),
    );
  }

  #onKey(event) {
    const current = this.#options.indexOf(event.target.closest("[role=option]"));
    const last = this.#options.length - 1;
    const targets = {
      ArrowDown: Math.min(current + 1, last),
      ArrowUp: Math.max(current - 1, 0),
      Home: 0,
      End: last,
      Enter: current,
      " ": current,
    };
    const target = targets[event.key];
    if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.choose(target);
    this.focus(target);
  }
}

function named(utterance, label) {
  return [html("span", { class: "dot" }), html("bdi", {}, label), ` ${percent(utterance.probabilities[label])}`];
}

function several(utterance, hues) {
  const chips = labelsOf(utterance).map((label) => html("span", { class: "label", "data-hue": hues.get(label) }, ...named(utterance, label)));
  return html("span", { class: "emotion several" }, ...(chips.length ? chips : [NONE]));
}
