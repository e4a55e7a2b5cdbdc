// Numbers beside the text, where the model reads any: what they are, and those of the chosen utterance.

import { html } from "./element.js";
import { count } from "./numbers.js";
import { madeOfSound, soundBox } from "./sound.js";

// More columns than this are counted, not listed, in the line on the model.
const MANY = 10;

/** What is typed is no list of numbers. `modality` says where. */
export class FeaturesError extends Error {
  constructor(message, modality) {
    super(message);
    this.modality = modality;
  }
}

/** What the model reads beside the text, as nodes for the line on the model; none for a model of texts. */
export function inWordsOf(features) {
  if (!features) return [];
  const kinds = Object.entries(features.modalities).flatMap(([name, kind], index) => [
    index ? ", and " : "",
    html("strong", {}, name),
    ` (${numbersOf(kind, MANY, "")})`,
  ]);
  const how = features.text ? "Beside the text it reads " : "It reads no text, but ";
  const give = madeOfSound(features).length ? "upload or record how it sounds" : "give its numbers";
  return [how, ...kinds, `: choose an utterance to ${give}. `];
}

/**
 * The fields of an utterance's features; what is typed in them and not given yet is kept as its `typed`, by modality. `give()` is called to
 * answer with what is typed in them; `hear(sound)` with its sound, or null for none. `limits` are the service's.
 */
export function form(utterance, features, limits, give, hear) {
  const heard = madeOfSound(features);
  // The sound replaces these.
  const given = utterance.sound ? heard : [];
  const kinds = Object.entries(features.modalities).filter(([name]) => !given.includes(name));
  const fields = kinds.flatMap(([name, kind]) => field(name, kind, utterance));
  const answer = html(
    "div",
    { class: "actions" },
    html("button", { type: "submit" }, "Answer with these"),
    html("span", { class: "waiting", "aria-hidden": "true" }, "Asking the model …"),
  );
  const open = utterance.features || utterance.typed ? { open: "" } : {};
  const numbers = heard.length ? [html("details", open, html("summary", {}, "Or give numbers"), ...fields, answer)] : [...fields, answer];
  const box = html(
    "form",
    { id: "features", novalidate: "" },
    html("h4", { class: "title" }, heard.length ? "The voice of this utterance" : "Features of this utterance"),
    html("p", { class: "quiet" }, state(utterance, features)),
    ...(heard.length ? [soundBox(utterance, features, limits, hear)] : []),
    ...(kinds.length ? numbers : []),
  );
  box.addEventListener("submit", (event) => {
    event.preventDefault();
    give();
  });
  return box;
}

/** What is typed in the fields, by modality. Throws a FeaturesError. */
export function typed(features) {
  const found = {};
  for (const [name, kind] of Object.entries(features.modalities)) {
    const area = document.querySelector(`#${idOf(name)}`);
    const rows = area && parse(area.value, name, kind);
    if (rows) found[name] = rows;
  }
  return found;
}

/** The id of a modality's field. */
export function idOf(modality) {
  return `features-${modality}`;
}

/** `with face and prosody of the sound`, of an utterance that has them; or "". */
export function withThese({ features, sound }) {
  const names = Object.keys(features ?? {});
  if (sound) names.push(`${sound.makes.join(" and ")} of the sound`);
  return names.length ? `with ${names.join(" and ")}` : "";
}

function state(utterance, { text }) {
  const given = withThese(utterance);
  if (utterance.sound) return `Answered ${given}.`;
  if (given) return `Answered ${given}. Change the numbers, or empty a field to leave them out.`;
  return text ? "None given: answered by its text alone." : "None given, and this model reads no text: its answer says nothing.";
}

function field(name, kind, utterance) {
  const id = idOf(name);
  const area = html("textarea", {
    id,
    rows: 2,
    spellcheck: "false",
    "aria-describedby": `${id}-hint ${id}-error`,
    placeholder: example(kind),
  });
  const rows = utterance.features?.[name];
  area.defaultValue = rows ? written(rows) : "";
  area.value = utterance.typed?.[name] ?? area.defaultValue;
  area.addEventListener("input", () => {
    const { [name]: before, ...others } = utterance.typed ?? {};
    const all = area.value === area.defaultValue ? others : { ...others, [name]: area.value };
    utterance.typed = Object.keys(all).length ? all : undefined;
  });
  return [
    html("label", { for: id }, name),
    html("p", { id: `${id}-hint`, class: "quiet" }, hint(kind)),
    area,
    html("p", { id: `${id}-error`, class: "error", hidden: "" }),
  ];
}

function hint(kind) {
  const made = kind.made_by ? ` Made by ${kind.made_by}.` : "";
  const frames = kind.frames > 1 ? ` A line a frame, up to ${kind.frames}.` : "";
  const numbers = numbersOf(kind, Infinity, ", in this order");
  return `${numbers}. Commas between them, or JSON; nothing between two commas where one is not known.${frames}${made}`;
}

function numbersOf({ width, columns }, most, order) {
  const listed = columns.length && columns.length <= most ? `${order}: ${columns.join(", ")}` : "";
  return `${count(width, "number")}${listed}`;
}

function example({ width }) {
  const some = ["0.5", "1.2", "-0.3"].slice(0, width).join(", ");
  return width > 3 ? `${some}, …` : some;
}

function written(rows) {
  const frames = Array.isArray(rows[0]) ? rows : [rows];
  return frames.map((frame) => frame.map((each) => each ?? "").join(", ")).join("\n");
}

/** Rows of what is typed, or null where nothing is: JSON, or numbers with commas (or blanks) between them, a line a frame. */
function parse(text, modality, { columns }) {
  if (!text.trim()) return null;
  if (/^\s*[[{]/.test(text)) return fromJson(text, modality, columns);
  const frames = text.split(/[\r\n]+/).filter((line) => line.trim()).map((line) => numbers(line, modality));
  return frames.length === 1 ? frames[0] : frames;
}

function numbers(line, modality) {
  const cells = line.trim().split(/[,;\t]/.test(line) ? /\s*[,;\t]\s*/ : /\s+/);
  return cells.map((cell) => {
    if (!cell) return null;
    const number = Number(cell);
    if (!Number.isFinite(number)) throw new FeaturesError(`“${cell.slice(0, 40)}” is no number. Write 0.5, with commas between numbers.`, modality);
    return number;
  });
}

function fromJson(text, modality, columns) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FeaturesError("This begins like JSON, but is none. Write [0.5, 1.2, null], or 0.5, 1.2 alone.", modality);
  }
  if (Array.isArray(value)) return value;
  const names = Object.keys(value);
  if (names.length === 1 && names[0] === modality) return value[modality];
  const strange = names.find((name) => !columns.includes(name));
  if (strange !== undefined) {
    throw new FeaturesError(`There is no column “${strange.slice(0, 40)}”${columns.length ? `; there are ${columns.join(", ")}` : ""}.`, modality);
  }
  return columns.map((name) => value[name] ?? null);
}
