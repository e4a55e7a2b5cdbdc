// The page: what is typed goes to the service, what comes back is shown as chat, chart and panel.

import { NONE, inWords, isOfSeveral, labelsOf } from "./answers.js";
import { readsText } from "./caveats.js";
import { Chart } from "./chart.js";
import { Chat } from "./chat.js";
import { save, toCsv, toJson } from "./download.js";
import { html, isolated } from "./element.js";
import { FeaturesError, idOf, inWordsOf, typed as typedFeatures } from "./features.js";
import { asked, askedOf, carriedOver, hasGiven, isSame, keepWaiting, keeping, lostInWords, written } from "./given.js";
import { assignHues } from "./hues.js";
import { announce, hideError, showError } from "./notices.js";
import { count, percent } from "./numbers.js";
import { Panel } from "./panel.js";
import { Service } from "./service.js";
import { forget, isRecording, stopRecording } from "./sound.js";
import { TokenDialog } from "./token.js";
import { flatten, isPlain, lineOf } from "./transcript.js";
import { trust } from "./trust.js";
import { Warnings } from "./warnings.js";

// More labels than this are counted, not listed, in the line on the model.
const MANY = 12;

const find = (id) => document.getElementById(id);
const text = find("text");
const labelsText = find("labels");
const speaker = find("speaker");
const nextText = find("next-text");

const service = new Service(new TokenDialog());
const chat = new Chat(choose);
const chart = new Chart(choose);
const warningsBox = new Warnings();
const panel = new Panel(choose, giveFeatures, giveSound);

/** What the service says of the model that gave what is shown, or will give it; null until it has answered. */
let model = null;
/** The reader's labels that are in force, as they were typed, or null for the model's. */
let typedLabels = null;
/**
 * What is shown: `{version, typed, labels, words, thresholds, hues, utterances}`; `version` is of the model that gave it, `typed` the text
 * that it answers, null for none, `words` and `thresholds` map labels. Utterances keep the features and the sound that were given with them, which
 * answers do not repeat, what is typed as features and not given yet, and as `unsent` a sound that the service could not answer when it was given.
 */
let shown = null;
let chosen = null;
let busy = false;
/** What was pressed while an answer was awaited, and is done after it. */
const later = [];

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
  while (later.length && !busy) later.shift()();
}

async function readModel() {
  if (model === null) {
    const described = await service.model();
    // Meanwhile another question may have been answered first.
    if (model === null) useModel(described);
  }
  showModel();
}

function useModel(described) {
  model = described;
  readsText(model.features?.text ?? true);
}

/**
 * The service's answers, and as `by` what it says of the model that gave them, which is another one by now where the service began anew. That is
 * `model` only once its answers are shown: what is shown until then is not its. `named` as `Service.predict`.
 */
async function predict(dialogues, labels, named = undefined) {
  const found = await service.predict(dialogues, labels, named);
  return { ...found, by: found.version === model.version ? model : await service.model() };
}

function showModel() {
  const named = html("strong", {}, html("bdi", {}, model.name));
  const labels = typedLabels === null ? model.labels : shown.labels;
  const listed = labels.length > MANY ? [`${labels.length} labels`] : labels.flatMap((label, index) => (index ? [", ", ...withWord(label)] : withWord(label)));
  const kind = typedLabels === null ? [" ("] : [" with ", html("strong", {}, "your own labels"), " ("];
  find("model").replaceChildren("Answered by ", named, ...kind, ...listed, "). ", ...inWordsOf(model.features), trust(model, typedLabels !== null));
  find("context").textContent = `${answeredFrom()}.`;
  find("promise").textContent = model.task === "multi" ? "its emotions, one, several or none," : "its emotion,";
}

/** What an answer depends on. */
function answeredFrom() {
  if (model.features && !model.features.text) {
    const names = Object.keys(model.features.modalities).map(isolated).join(" and ");
    return `its features (${names}), which you give once it is shown; its words are not read`;
  }
  return readsAhead() ? "its words and from the utterances before and after it" : "its words and from the utterances before it";
}

/** Whether answers depend on later utterances. */
function readsAhead() {
  return model.max_future > 0 || (model.sequence && typedLabels === null);
}

/** A label, and the word behind it where that is another one. */
function withWord(label) {
  const word = typedLabels === null ? label : shown.words.get(label);
  return [html("bdi", {}, label), ...(word === label ? [] : [": ", html("bdi", {}, word.replaceAll("|", ", "))])];
}

/** Answers the text, or what is shown where the text is still the one that it came from. `labels` as `typedLabels`. */
async function answer(labels) {
  const typed = text.value;
  const same = isAnswered();
  const dialogue = same ? { utterances: askedOf(shown.utterances, typed) } : { transcript: typed };
  await readModel();
  let found = await predict([dialogue], labels);
  if (same) keeping(shown.utterances, found);
  else if (shown?.utterances.some(hasGiven)) found = await answerEdited(found, typed, labels);
  typedLabels = labels;
  show(typed, found);
}

/** The answers to a text that was edited, `typed`, with the features and sounds of what in it is as it was. */
async function answerEdited(found, typed, labels) {
  const { given, lost } = carriedOver(shown.utterances, found.dialogues[0]);
  const whole = given.some(hasGiven) ? keeping(given, await predict([{ utterances: askedOf(given, typed) }], labels)) : found;
  lost.forEach((each) => forget(each.sound));
  return lost.length ? { ...whole, warnings: [...whole.warnings, lostInWords(lost)] } : whole;
}

/** Answers the conversation again with what is typed as the features of the chosen utterance. */
function giveFeatures() {
  const index = chosen;
  featureFields().forEach((field) => hideError(field));
  let features;
  try {
    features = typedFeatures(model.features);
  } catch (error) {
    showFeaturesError(error, index);
    return;
  }
  answerWithFeatures(index, Object.keys(features).length ? features : undefined, shown.utterances[index].typed);
}

/** The fields of the chosen utterance's features that are there. */
function featureFields() {
  return Object.keys(model.features.modalities).map((name) => find(idOf(name))).filter(Boolean);
}

/** `typed` is what was, that gives these features. */
function answerWithFeatures(index, features, typed) {
  if (busy) {
    const isThere = () => JSON.stringify(shown.utterances[index].features) === JSON.stringify(features);
    const act = () => answerWithFeatures(index, features, typed);
    onceAnswered(index, shown.utterances[index], { place: "features", what: "The numbers were", isThere, act });
    return;
  }
  const { sound } = shown.utterances[index];
  const twice = Object.keys(features ?? {}).filter((name) => sound?.makes.includes(name));
  if (twice.length && find("sound-record")) {
    const names = twice.map(isolated).join(" and ");
    showError(find("sound-record"), `The numbers were left out: ${names} is made of the sound by now. Remove it to give numbers.`, find("sound-remove"));
    return;
  }
  exchange(find("features"), () => answerWith(index, { features }, { typed }), (error) => showFeaturesError(error, index));
}

function showFeaturesError(error, index) {
  const name = error instanceof FeaturesError ? error.modality : error.field?.match(/\.features\.([\w-]+)/)?.[1];
  comeBack(index);
  const field = (name && find(idOf(name))) || featureFields()[0] || text;
  field.closest("details")?.setAttribute("open", "");
  showError(field, error.message);
}

/** The panel of an utterance, where it has been closed or is another one's by now. */
function comeBack(index) {
  if (chosen !== index) choose(index);
}

/** Answers the conversation again with how utterance `index`, which was `utterance`, sounds; null where what it shows is not to sound any more. */
function giveSound(sound, index, utterance) {
  const isThere = () => {
    const { sound: given, unsent } = shown.utterances[index];
    return sound ? given?.url === sound.url : !given && !unsent;
  };
  const act = () => (sound || !shown.utterances[index].unsent ? answerWithSound(sound, index) : dropUnsent(index));
  onceAnswered(index, utterance, { place: "sound", what: "The sound was", isThere, act, drop: () => forget(sound) });
}

function answerWithSound(sound, index) {
  const before = shown.utterances[index];
  const { sound: replaced, unsent } = before;
  const rest = Object.entries(before.features ?? {}).filter(([name]) => !sound?.makes.includes(name));
  const features = rest.length ? Object.fromEntries(rest) : undefined;
  const act = async () => {
    await answerWith(index, { sound: sound ?? undefined, features }, { unsent });
    forget(replaced);
    if (unsent !== sound) forget(unsent);
  };
  exchange(find("sound"), act, (error) => {
    // Whatever else is wrong, a recording cannot be made again.
    const kept = sound !== null && !error.field?.startsWith(`dialogues[0].utterances[${index}].audio`);
    if (kept && unsent !== sound) forget(unsent);
    if (kept) before.unsent = sound;
    else dropFrom(before, sound);
    // Unless another recording goes on there.
    if (chosen !== index || !isRecording()) choose(index);
    showError(find("sound-record"), error.message, (kept && find("sound-again")) || find("sound-upload"));
  });
}

function dropUnsent(index) {
  const utterance = shown.utterances[index];
  dropFrom(utterance, utterance.unsent);
  choose(index);
}

/** Lets go of a sound that an utterance is not answered with. */
function dropFrom(utterance, sound) {
  forget(sound);
  if (utterance.unsent === sound) delete utterance.unsent;
}

/**
 * Does `act` for utterance `index`, which was `before`, once no other answer is awaited, unless what it is to give `isThere` by then. Where the
 * utterance is no longer there, or its panel has no `place` for it, `what` it was is said to be left out.
 */
function onceAnswered(index, before, { place, what, isThere, act, drop = () => {} }) {
  const give = () => {
    const now = shown.utterances[index];
    const same = now !== undefined && isSame(now, before);
    if (same && isThere()) return;
    if (same) comeBack(index);
    if (same && find(place)) {
      act();
      return;
    }
    drop();
    const why = same ? "the model that answers by now reads none" : "the utterance is no longer there";
    showError(text, `${what} left out: ${why}.`);
  };
  if (busy) later.push(give);
  else give();
}

/** Answers the conversation again with another utterance `index`; `waiting` is what of it waited for that, `typed` or `unsent`. */
async function answerWith(index, changed, waiting) {
  const given = shown.utterances.map((each, number) => (number === index ? { ...each, ...changed } : each));
  const found = await predict([{ utterances: askedOf(given, shown.typed) }], typedLabels);
  // What was typed since then stays.
  for (const [name, value] of Object.entries(waiting)) {
    if (shown.utterances[index][name] === value) delete shown.utterances[index][name];
  }
  show(shown.typed, keeping(given, found));
  choose(index);
}

/** Shows answers to `typed`; gives those of their warnings that are new. */
function show(typed, { by, version, labels, words, thresholds, warnings, dialogues: [utterances] }) {
  if (stopRecording()) warnings = [...warnings, "The recording that went on was dropped, as all was answered anew. Record it again."];
  useModel(by);
  const lost = shown ? keepWaiting(shown.utterances, utterances) : [];
  lost.forEach((each) => forget(each.sound));
  if (lost.length) warnings = [...warnings, lostInWords(lost)];
  shown = { version, typed, labels, words, thresholds, hues: assignHues(labels), utterances };
  showModel();
  find("empty").hidden = true;
  find("results").hidden = false;
  find("restore").hidden = typedLabels === null;
  const more = warningsBox.show(warnings);
  chat.show(utterances, shown.hues);
  chart.show(utterances, labels, shown.hues);
  choose(null);
  refresh();
  announce([find("summary").textContent, "The answers are below.", ...warnings].join(" "));
  const { top } = find("results").getBoundingClientRect();
  if (top > innerHeight / 2) find("results").scrollIntoView({ block: "start" });
  return more;
}

/** What depends on all utterances at once. */
function refresh() {
  const tally = new Map();
  for (const label of shown.utterances.flatMap(labelsOf)) tally.set(label, (tally.get(label) ?? 0) + 1);
  const ranked = [...tally].sort((a, b) => b[1] - a[1]).map(([label, number]) => `${isolated(label)} ${number}`);
  const without = shown.utterances.filter((each) => !labelsOf(each).length).length;
  if (without) ranked.push(`${NONE} ${without}`);
  find("summary").textContent = `${count(shown.utterances.length, "utterance")}: ${ranked.join(", ")}.`;
  const speakers = [...new Set(shown.utterances.map((each) => each.speaker))];
  find("speakers").replaceChildren(...speakers.map((value) => html("option", { value })));
  const last = shown.utterances.at(-1)?.speaker;
  speaker.value = shown.utterances.findLast((each) => each.speaker !== last)?.speaker ?? last ?? "";
}

function choose(index) {
  stopRecording();
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
  const { labels, words, thresholds, hues, utterances } = shown;
  panel.show(utterances[index], { index, total: utterances.length, labels, words, thresholds, hues, features: model.features, limits: model.limits });
}

function ask() {
  hideError(text);
  if (!text.value.trim()) {
    showError(text, "Type or paste a conversation first, or take an example.");
    return;
  }
  if (busy) {
    later.push(() => isAnswered() || ask());
    return;
  }
  exchange(find("ask"), () => answer(typedLabels), (error) => {
    if (error.field?.startsWith("labels")) showLabelsError(error.message);
    else showError(text, error.message);
  });
}

/** Whether what is shown answers the text as it stands. */
function isAnswered() {
  return shown?.typed === text.value;
}

function showLabelsError(message) {
  find("your-labels").querySelector("details").open = true;
  showError(labelsText, message);
}

function askWith(labels) {
  hideError(labelsText);
  hideError(text);
  if (!text.value.trim()) {
    showError(text, "Type or paste a conversation first, or take an example; then it is answered with your labels.");
    return;
  }
  if (busy) {
    later.push(() => (typedLabels === labels && isAnswered()) || askWith(labels));
    return;
  }
  exchange(find("your-labels"), () => answer(labels), (error) => {
    if (error.field?.startsWith("dialogues")) showError(text, error.message);
    else showLabelsError(error.message);
  });
}

/** A name that would not be read as one from the conversation's text. */
class NameError extends Error {}

async function addReply() {
  const next = { speaker: speaker.value.trim(), text: nextText.value.trim() };
  const typed = text.value;
  const plain = isPlain(typed, shown.utterances);
  const names = plain ? [] : [...new Set(shown.utterances.map((each) => each.speaker))];
  // Lines, as they will stand in the text, so that it is known that they are read as they are meant; by themselves, as warnings
  // count all texts of a request.
  const check = { utterances: names.map((name) => lineOf({ speaker: name, text: "x" })) };
  const read = names.length ? (await predict([check], typedLabels, (index) => `the name “${isolated(names[index])}”`)).dialogues[0] : [];
  const lost = names.find((name, index) => read[index].speaker !== name);
  if (lost !== undefined) throw new NameError(`${unreadable(lost)} Change it in the conversation’s text first.`);
  const total = shown.utterances.length;
  const askFrom = (start) => {
    const named = (index) => (start + index < total ? `utterance ${start + index + 1}` : "the new utterance");
    // Of some of them it would be said again, with another number.
    const before = start ? shown.utterances.slice(start).map(asked) : askedOf(shown.utterances, shown.typed);
    return predict([{ utterances: [...before, lineOf(next)] }], typedLabels, named);
  };
  // An answer depends on so many utterances before it, and on no more; where later ones count too, answers change, and of
  // features it is counted how many utterances are without.
  let whole = readsAhead() || Boolean(model.features);
  const first = whole ? 0 : Math.max(0, total - model.max_past);
  let found = await askFrom(first);
  if (found.version !== shown.version && !whole) {
    // What is shown is another model's.
    whole = true;
    found = await askFrom(0);
  }
  const [utterances] = found.dialogues;
  const answered = utterances.at(-1);
  if (answered.speaker !== next.speaker) throw new NameError(unreadable(next.speaker));
  // The text goes on as well, so that it can be edited and answered again as a whole, unless it is being edited.
  const goesOn = `${plain ? typed.trimEnd() : shown.utterances.map(flatten).join("\n")}\n${lineOf(next)}`;
  const untouched = text.value === typed;
  if (untouched) {
    if (!plain && !isAnswered()) offerDraft(typed);
    text.value = goesOn;
  }
  let more;
  if (whole) {
    more = show(untouched ? goesOn : null, keeping([...shown.utterances, {}], found));
    chat.reveal(shown.utterances.length - 1);
  } else {
    shown.utterances.push(answered);
    shown.typed = untouched ? goesOn : null;
    chat.append(answered, shown.hues);
    chart.show(shown.utterances, shown.labels, shown.hues);
    if (!isRecording()) choose(null);
    refresh();
    more = warningsBox.add(found.warnings, first, shown.utterances.length);
  }
  chart.reveal(shown.utterances.length - 1);
  if (nextText.value.trim() === next.text) nextText.value = "";
  if (!isRecording()) nextText.focus({ preventScroll: true });
  const inShort = isOfSeveral(answered) ? inWords(answered) : `${answered.emotion}, ${percent(answered.confidence)}`;
  announce([`${answered.speaker}: ${inShort}.`, ...more].join(" "));
}

function unreadable(name) {
  return `“${isolated(name)}” would not be read as a name in the conversation’s text. Use a short one that begins with a letter, such as “Ann” or “Ann Smith”.`;
}

function reply() {
  hideError(nextText, speaker);
  hideError(nextText);
  if (!speaker.value.trim()) showError(nextText, "Say who speaks; any name will do.", speaker);
  else if (!nextText.value.trim()) showError(nextText, "Type the next utterance.");
  else if (busy) replyOnceAnswered(speaker.value, nextText.value);
  else exchange(find("reply"), addReply, (error) => showError(nextText, error.message, error instanceof NameError ? speaker : nextText));
}

/** Adds what was typed, once another answer has come, unless that was it. */
function replyOnceAnswered(who, what) {
  later.push(() => {
    if (nextText.value !== what) return;
    speaker.value = who;
    reply();
  });
}

function takeText(value) {
  if (text.value !== value) offerDraft(text.value);
  text.value = value;
  ask();
}

/** What the reader has typed can be had back after another text replaced it. */
function offerDraft(written) {
  if (!written.trim() || offered.has(written)) return;
  find("draft").hidden = false;
  find("draft").onclick = () => takeText(written);
}

const offered = new Set();

async function offerExamples() {
  for (const { title, utterances } of await service.examples()) {
    const transcript = utterances.map(flatten).join("\n");
    offered.add(transcript);
    const button = html("button", { type: "button" }, title);
    button.addEventListener("click", () => takeText(transcript));
    find("examples").append(button);
  }
}

function download(ending, type, make) {
  const { labels, words, thresholds } = shown;
  const utterances = shown.utterances.map(written);
  const modalities = model.features?.modalities ?? {};
  save(`emotions.${ending}`, type, make({ model: model.name, labels, words, thresholds, utterances, modalities }));
}

function onSubmit(form, act) {
  find(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit("ask", ask);
onSubmit("your-labels", () => {
  if (labelsText.value.trim()) askWith(labelsText.value);
  else showLabelsError("At least two labels are needed, such as “calm, worried”.");
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
