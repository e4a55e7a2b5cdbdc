// What the service says of the texts as a whole, in a list above the answers.

import { html } from "./element.js";
import { isVerbatim } from "./notices.js";

export class Warnings {
  #list = document.querySelector("#warnings");
  #said = [];
  /** Lines that were added, by what they say. */
  #added = new Map();

  /** Shows the warnings of all utterances. Gives those that say more than another number of what was there. */
  show(warnings) {
    const more = this.#more(warnings);
    this.#said = [...warnings];
    this.#added.clear();
    this.#list.replaceChildren(...warnings.map(line));
    return more;
  }

  /**
   * Adds those of the warnings that are not there yet, of the utterances from index `first` to the last of `total`; a line that was added before
   * makes room for one with other numbers. Gives those that say more than that, as they are shown.
   */
  add(warnings, first, total) {
    const of = first + 1 < total ? `Utterances ${first + 1} to ${total}` : `Utterance ${total}`;
    // They count among the texts that were sent.
    const shown = (each) => (first ? `${of}: ${each}` : each);
    const found = warnings.filter((each) => !this.#said.includes(each));
    const more = this.#more(found);
    for (const each of found) {
      const [kind, added] = [withoutNumbers(each), line(shown(each))];
      if (this.#added.has(kind)) this.#added.get(kind).replaceWith(added);
      else this.#list.append(added);
      this.#added.set(kind, added);
    }
    this.#said.push(...found);
    return more.map(shown);
  }

  #more(warnings) {
    const kinds = new Set(this.#said.map(withoutNumbers));
    return warnings.filter((each) => !kinds.has(withoutNumbers(each)));
  }
}

function line(message) {
  return html("li", { class: isVerbatim(message) ? "caveat verbatim" : "caveat" }, message);
}

function withoutNumbers(message) {
  return message.replace(/\d[\d,]*/g, "0");
}
