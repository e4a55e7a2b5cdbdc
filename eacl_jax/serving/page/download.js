// Files made in the browser from what is shown.

import { isOfSeveral, labelsOf } from "./answers.js";

// A spreadsheet would run what begins like a formula, but for plain numbers. The library's tables have the same rule, and take the
// apostrophe off again (`corpora/formulas.py`). What Python holds for blanks beside JavaScript's is named.
const FORMULA = /^[\s\x1c-\x1f\x85\p{Cf}]*[=+\-@＝＋－＠]|^[\t\r\n]/u;
const NUMBER = /^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?$/;

/** The answers as JSON text. `words` maps each label to its word, `thresholds` to its threshold where it has one. */
export function toJson({ model, labels, words, thresholds, utterances }) {
  const anchors = Object.fromEntries(labels.map((label) => [label, words.get(label) ?? label]));
  const more = thresholds.size ? { thresholds: Object.fromEntries(thresholds) } : {};
  return `${JSON.stringify({ model, labels: anchors, ...more, utterances }, null, 2)}\n`;
}

/**
 * The answers as CSV text (RFC 4180), a row an utterance, in the columns that the library's tables have: of features that were
 * given those of modalities with names of columns, as `voice.pitch`, and `audio`, the name of a sound.
 * It begins with a byte order mark, without which spreadsheets garble accents.
 */
export function toCsv({ labels, utterances, modalities }) {
  const more = given(utterances, modalities);
  const answer = utterances.some(isOfSeveral) ? ["emotions"] : ["emotion", "confidence"];
  const head = ["dialogue", "utterance", "speaker", "text", ...answer, "truncated", "unknown_text", ...labels.map((label) => `p(${label})`), ...more.map(({ head }) => head)];
  const rows = utterances.map((each, index) => [
    "1",
    index,
    each.speaker,
    each.text,
    ...(isOfSeveral(each) ? [inACell(labelsOf(each))] : [each.emotion, each.confidence]),
    each.truncated,
    each.unknown_text,
    ...labels.map((label) => each.probabilities[label]),
    ...more.map(({ of }) => of(each) ?? ""),
  ]);
  return `\ufeff${[head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("")}`;
}

/** Labels as the library's tables have them: a list of JSON where one holds a sign at which a reader would divide it. */
function inACell(labels) {
  if (labels.some((label) => /[;|,]/.test(label))) return `[${labels.map((label) => JSON.stringify(label)).join(", ")}]`;
  return labels.join(";") || "[]";
}

/** Columns of what was given with utterances, where anything was: `{head, of(utterance)}`. */
function given(utterances, modalities) {
  const numbers = Object.entries(modalities).flatMap(([name, { columns }]) => {
    const rows = utterances.map((each) => each.features?.[name]).filter(Boolean);
    // Several frames do not fit into a row.
    if (!rows.length || rows.some((frames) => frames.length > 1 && Array.isArray(frames[0]))) return [];
    return columns.map((column, index) => ({ head: `${name}.${column}`, of: ({ features }) => features?.[name]?.flat()[index] }));
  });
  const audio = utterances.some((each) => each.audio) ? [{ head: "audio", of: (each) => each.audio }] : [];
  return [...numbers, ...audio];
}

/** Has the browser save a text as a file. */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // Some browsers read the address only after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function cell(value) {
  if (typeof value === "number") return String(value);
  // As the library's tables have them.
  if (typeof value === "boolean") return value ? "True" : "False";
  // An apostrophe makes it text.
  const safe = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
