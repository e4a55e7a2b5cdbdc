// What the model's probabilities are worth, by what was measured.

import { count } from "./numbers.js";

// Points of calibration error up to which probabilities are said to fit, as the library has it.
const FITS = 5;
// The best measure first.
const WHERE = [
  ["test", "on test utterances"],
  ["adaptation", "on the dialogues it was adapted to"],
  ["dev", "on the utterances it was tuned on"],
];

/** In sentences, for the line on the model; `own` says whether the reader's labels are answered. */
export function trust(model, own) {
  const said = model.task === "multi" ? `An utterance may have several of them, or none. ${ofSeveral(model, own)}` : ofOne(model, own);
  // What was measured was of the model's labels.
  return own ? said : `${said}${changedBy(model.runtime)}`;
}

/** How many answers are others by the precision that the model computes in; nothing where that was not measured. */
function changedBy({ precision, cost }) {
  const [, share] = cost.match(/([\d.]+)% of answers differ/) ?? [];
  return share === undefined ? "" : ` It computes in ${precision}: where that was measured, ${share}% of answers differed from those in float32.`;
}

/** What is said where the service tells nothing of how far probabilities hold; of another precision it tells nothing though some was measured. */
function unknown({ runtime: { precision, cost } }) {
  return cost ? `is not known in ${precision}` : "was not measured";
}

function ofOne(model, own) {
  if (own) return "They were not trained, and their probabilities are not calibrated.";
  if (model.temperature === 1) return "Its probabilities are not calibrated.";
  const { fits, where, points } = measured(model);
  if (!where) return `How far its probabilities hold ${unknown(model)}: which emotion is likelier counts, not how likely it is.`;
  const differed = `${where}, how sure it was and how often it was right differed by ${points} on average`;
  if (!fits) return `Its probabilities hold only roughly: ${differed}.`;
  return `Its probabilities are calibrated: of answers given with 70%, about 7 in 10 are right on utterances like those it was tuned on (${differed}).`;
}

function ofSeveral(model, own) {
  if (own) return "They were not trained: their probabilities and the threshold that they share are a guess.";
  const { fits, where, points } = measured(model);
  if (!where) return `Each has a probability, and is answered from its threshold on. How far the probabilities hold ${unknown(model)}.`;
  const differed = `${where}, how probable an emotion was held and how often it was there differed by ${points} on average`;
  if (!fits) return `Each has a probability, and is answered from its threshold on. The probabilities hold only roughly: ${differed}.`;
  return `Each has a probability, calibrated on utterances like those it was tuned on, and is answered from its threshold on (${differed}).`;
}

/** Where the calibration error was measured, how large it is in words, and whether that is little; nothing where it was not. */
function measured({ calibration_error: errors = {} }) {
  const [name, where] = WHERE.find(([each]) => errors[each] !== undefined) ?? [];
  if (!name) return {};
  const rounded = Math.round(errors[name]);
  return { fits: errors[name] <= FITS, where, points: rounded ? count(rounded, "point") : "less than 1 point" };
}
