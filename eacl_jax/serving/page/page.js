// The page: what is typed goes to the service, what comes back is shown as chat, chart and panel.

import { Chart } from "./chart.js";
import { Chat } from "./chat.js";
import { save, toCsv, toJson } from "./download.js";
import { html } from "./element.js";
import { assignHues } from "./hues.js";
import { parseLabels } from "./labels.js";
import { announce, hideError, showError } from "./notices.js";
import { count, percent } from "./numbers.js";
import { Panel } from "./panel.js";
import { Service } from "./service.js";
import { TokenDialog } from "./token.js";

// More labels than this are counted, not listed, in the line on the model.
const MANY = 12;

const find = (id) => document.getElementById(id);
const text = find("text");
const labelsText = find("labels");
const speaker = find("speaker");
const said = find("said");

const service = new Service(new TokenDialog());
const chat = new Chat(choose);
const chart = new Chart(choose);
const panel = new Panel(choose);

/** What the service says of its model; null until it has answered. */
let model = null;
/** Own labels that are in force: a Map from label to word, or null for the model's. */
let own = null;
/** What is shown: `{typed, labels, words, hues, utterances}`; `typed` is the text that it answers. */
let shown = null;
let chosen = null;
let busy = false;

/** Runs one exchange with the service at a time; `box` shows that it waits, `fail(error)` gets what went wrong. */
async function exchange(box, task, fail) {
  if (busy) return;
  busy = true;
  box.setAttribute("aria-busy", "true");
  document.body.classList.add("busy");
  announce("Asking the model …");
  try {
    await task();
  } catch (error) {
    announce("");
    fail(error);
  } finally {
    busy = false;
    box.removeAttribute("aria-busy");
    document.body.classList.remove("busy");
  }
}

async function readModel() {
  model ??= await service.model();
  tellModel();
}

function tellModel() {
  const named = html("strong", {}, html("bdi", {}, model.name));
  const labels = model.labels.length > MANY ? `${model.labels.length} labels` : model.labels.join(", ");
  find("model").replaceChildren("Answered by ", named, ` (${labels}). ${trust()}`);
}

function trust() {
  if (own) return "Your own labels are in force: they were not trained, and their probabilities are not calibrated.";
  if (model.temperature === 1) return "Its probabilities are not calibrated.";
  return "Its probabilities are calibrated: of answers given with 70%, about 7 in 10 are right on texts like those it was tuned on.";
}

/** Answers the text, or what is shown where the text is still the one that it came from. `words` as `own`. */
async function answer(words) {
  const typed = text.value;
  const same = shown && shown.typed === typed;
  const dialogue = same ? { utterances: shown.utterances.map(bare) } : { transcript: typed };
  await readModel();
  const { labels, utterances } = await service.predict(dialogue, words);
  own = words;
  tellModel();
  show(typed, labels, utterances);
}

function show(typed, labels, utterances) {
  const words = own ?? new Map(Object.entries(model.words));
  shown = { typed, labels, words, hues: assignHues(labels), utterances };
  find("empty").hidden = true;
  find("results").hidden = false;
  find("restore").hidden = own === null;
  chat.show(utterances, shown.hues);
  chart.show(utterances, labels, shown.hues);
  choose(null);
  refresh();
  announce(`${find("summary").textContent} The answers are below.`);
  const { top } = find("results").getBoundingClientRect();
  if (top > innerHeight / 2) find("results").scrollIntoView({ block: "start" });
}

/** What depends on all utterances at once. */
function refresh() {
  const tally = new Map();
  for (const { emotion } of shown.utterances) tally.set(emotion, (tally.get(emotion) ?? 0) + 1);
  const ranked = [...tally].sort((a, b) => b[1] - a[1]).map(([label, number]) => `${label} ${number}`);
  find("summary").textContent = `${count(shown.utterances.length, "utterance")}: ${ranked.join(", ")}.`;
  const speakers = [...new Set(shown.utterances.map((each) => each.speaker))];
  find("speakers").replaceChildren(...speakers.map((value) => html("option", { value })));
  const last = shown.utterances.at(-1)?.speaker;
  speaker.value = shown.utterances.findLast((each) => each.speaker !== last)?.speaker ?? last ?? "";
}

function choose(index) {
  const back = index === null && find("panel").contains(document.activeElement) ? chosen : null;
  chosen = index;
  chat.select(index, index ?? back ?? 0);
  chart.select(index);
  if (index === null) {
    panel.clear();
    // The panel's button that closed it is gone: the keyboard goes back to where it came from.
    if (back !== null) chat.focus(back);
    return;
  }
  chat.reveal(index);
  chart.reveal(index);
  const { labels, words, hues, utterances } = shown;
  panel.show(utterances[index], { index, total: utterances.length, labels, words, hues });
}

function bare(utterance) {
  return { speaker: utterance.speaker, text: utterance.text };
}

function ask() {
  hideError(text);
  if (!text.value.trim()) {
    showError(text, "Type or paste a conversation first, or take an example.");
    return;
  }
  exchange(find("ask"), () => answer(own), (error) => {
    if (error.field?.startsWith("labels")) showLabelsError(error.message);
    else showError(text, error.message);
  });
}

function showLabelsError(message) {
  find("own").querySelector("details").open = true;
  showError(labelsText, message);
}

function askWith(words) {
  hideError(labelsText);
  hideError(text);
  if (!text.value.trim()) {
    showError(text, "Type or paste a conversation first, or take an example; then it is answered with your labels.");
    return;
  }
  exchange(find("own"), () => answer(words), (error) => {
    if (error.field?.startsWith("dialogues")) showError(text, error.message);
    else showLabelsError(error.message);
  });
}

async function addReply() {
  const next = { speaker: speaker.value.trim(), text: said.value.trim() };
  // An answer depends on so many utterances before it, and on no more.
  const past = shown.utterances.slice(Math.max(0, shown.utterances.length - model.max_past)).map(bare);
  const { utterances } = await service.predict({ utterances: [...past, next] }, own);
  const answered = utterances.at(-1);
  shown.utterances.push(answered);
  // The text goes on as well, so that it can be edited and answered again as a whole.
  text.value = `${text.value.trimEnd()}\n${next.speaker}: ${next.text}`;
  shown.typed = text.value;
  chat.append(answered, shown.hues);
  chart.show(shown.utterances, shown.labels, shown.hues);
  choose(null);
  refresh();
  chart.reveal(shown.utterances.length - 1);
  said.value = "";
  said.focus();
  announce(`${answered.speaker}: ${answered.emotion}, ${percent(answered.confidence)}.`);
}

function reply() {
  hideError(said, speaker);
  hideError(said);
  if (!speaker.value.trim()) showError(said, "Say who speaks; any name will do.", speaker);
  else if (!said.value.trim()) showError(said, "Type what is said.");
  else exchange(find("reply"), addReply, (error) => showError(said, error.message));
}

function takeText(value) {
  // What the reader has typed can be had back after a look at an example.
  const written = text.value.trim() && !offered.has(text.value) ? text.value : null;
  if (written !== null && written !== value) {
    find("draft").hidden = false;
    find("draft").onclick = () => takeText(written);
  }
  text.value = value;
  ask();
}

const offered = new Set();

async function offerExamples() {
  for (const { title, utterances } of await service.examples()) {
    const transcript = utterances.map((each) => `${each.speaker}: ${each.text}`).join("\n");
    offered.add(transcript);
    const button = html("button", { type: "button" }, title);
    button.addEventListener("click", () => takeText(transcript));
    find("examples").append(button);
  }
}

function download(ending, type, make) {
  const { labels, words, utterances } = shown;
  save(`emotions.${ending}`, type, make({ model: model.name, labels, words, utterances }));
}

function onSubmit(form, act) {
  find(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit("ask", ask);
onSubmit("own", () => {
  let words;
  try {
    words = parseLabels(labelsText.value);
  } catch (error) {
    showLabelsError(error.message);
    return;
  }
  askWith(words);
});
onSubmit("reply", reply);
for (const area of [text, labelsText]) {
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    area.form.requestSubmit();
  });
}
find("restore").addEventListener("click", () => askWith(null));
find("save-json").addEventListener("click", () => download("json", "application/json", toJson));
find("save-csv").addEventListener("click", () => download("csv", "text/csv;charset=utf-8", toCsv));

panel.clear();
offerExamples().catch(() => (find("examples").closest("section").hidden = true));
readModel().catch((error) => (find("model").textContent = error.message));
