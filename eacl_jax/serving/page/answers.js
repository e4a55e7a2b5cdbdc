// What an answer says: one label, or, from a model of several labels an utterance, some of them or none.

import { isolated } from "./element.js";
import { percent } from "./numbers.js";

/** How an utterance without any label is named. */
export const NONE = "none of the labels";

/** Whether an utterance was answered by a model of several labels. */
export function isOfSeveral(utterance) {
  return utterance.emotions !== undefined;
}

/** The labels that are answered, the likeliest first. */
export function labelsOf(utterance) {
  return isOfSeveral(utterance) ? utterance.emotions : [utterance.emotion];
}

/** The labels with their probabilities, for attributes and for those who hear the page. */
export function inWords(utterance) {
  return labelsOf(utterance).map((label) => `${isolated(label)} ${percent(utterance.probabilities[label])}`).join(", ") || NONE;
}
