// What a reader should know of an answer before trusting it.

import { html } from "./element.js";

/** A paragraph for each reason to doubt the answer; none where there is none. */
export function caveats({ truncated, unknown_text: unknown }) {
  const found = [];
  if (truncated) found.push("Too long for the model: answered from the end of this text alone.");
  if (unknown) found.push("The model cannot read most of this text. Do not trust this answer.");
  return found.map((words) => html("span", { class: "caveat" }, words));
}
