// What a reader should know of an answer before trusting it.

import { html } from "./element.js";

let reads = true;

/** Says whether the model reads texts, or features alone. */
export function readsText(yes) {
  reads = yes;
}

/** A paragraph for each reason to doubt the answer; none where there is none. */
export function caveats({ truncated, unknown_text: unknown }) {
  const found = [];
  if (truncated) found.push("Too long for the model: answered from the end of this text alone.");
  if (unknown && reads) found.push("The model cannot read most of this text. Do not trust this answer.");
  if (unknown && !reads) found.push("No features, and the model reads no text: this answer says nothing.");
  return found.map((words) => html("span", { class: "caveat" }, words));
}
