// How the chosen utterance sounds, where the model's numbers can be made of that: a file, or what is recorded here.

import { html } from "./element.js";
import { announce, hideError, showError } from "./notices.js";
import { MicrophoneError, Recorder } from "./recorder.js";

const KINDS = ".wav,.flac,.mp3,.ogg,.oga,.opus,audio/wav,audio/flac,audio/mpeg,audio/ogg";
const MIB = 2 ** 20;

/** The recording that goes on: `{recorder, timer, button}`, or null. */
let running = null;

/** The modalities that are made of sound. */
export function madeOfSound(features) {
  return Object.entries(features.modalities).filter(([, kind]) => kind.from_sound).map(([name]) => name);
}

/** Whether a recording goes on. */
export function isRecording() {
  return running !== null;
}

/** Ends a recording that goes on, without keeping it, and says so; whether there was one. */
export function stopRecording() {
  if (!running) return false;
  rest().cancel();
  announce("The recording that went on was dropped.");
  return true;
}

/** Nothing is recorded any more, and the button says so; gives what recorded. */
function rest() {
  const { recorder, timer, button } = running;
  running = null;
  clearInterval(timer);
  button.classList.remove("recording");
  button.lastChild.textContent = "Record";
  return recorder;
}

/** Lets go of a sound that is no longer replayed. */
export function forget(sound) {
  if (sound) URL.revokeObjectURL(sound.url);
}

/** A sound of a file's or recording's bytes: `{name, url, data, makes}`, the bytes in base64; `makes` are modalities. */
async function soundOf(blob, name, makes) {
  const data = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read. Is it still there?"));
    reader.readAsDataURL(blob);
  });
  return { name, data, makes, url: URL.createObjectURL(blob) };
}

/**
 * What to press, and the utterance's sound, or one that waits as its `unsent` to be sent again; `hear(sound)` gets one to answer, or null where
 * that which is shown is taken away. It is called when a sound is read, and the utterance may be another one's or gone by then.
 */
export function soundBox(utterance, features, limits, hear) {
  const makes = madeOfSound(features);
  const picker = html("input", { type: "file", id: "sound-file", accept: KINDS, hidden: "" });
  const described = { "aria-describedby": "sound-hint sound-error" };
  const upload = html("button", { type: "button", id: "sound-upload", ...described }, "Upload a sound");
  const record = html("button", { type: "button", id: "sound-record", ...described }, html("span", { class: "record-dot", "aria-hidden": "true" }), html("span", {}, "Record"));
  const withErrors = (action) => action.catch((error) => {
    announce("");
    showError(record, error.message, error instanceof MicrophoneError ? record : upload);
  });
  const clear = () => record.closest("fieldset").querySelectorAll("button").forEach((button) => hideError(record, button));
  upload.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    clear();
    if (file) withErrors(take(file, limits, makes, hear));
    picker.value = "";
  });
  record.addEventListener("click", () => {
    clear();
    withErrors(running ? finish(makes, hear) : begin(record, limits, makes, hear));
  });
  return html(
    "fieldset",
    { id: "sound" },
    html("legend", {}, "How it sounds"),
    html("p", { id: "sound-hint", class: "quiet" }, hint(makes, limits)),
    ...replay(utterance, (given) => {
      clear();
      hear(given);
    }),
    html("div", { class: "actions" }, upload, record, picker),
    html("p", { id: "sound-error", class: "error", hidden: "" }),
  );
}

function hint(makes, { sound_seconds: seconds, sound_bytes: bytes }) {
  return `Say it, or choose a WAV, FLAC, MP3 or Ogg file of up to ${seconds} s and ${Math.round(bytes / MIB)} MB: the model hears the voice (${makes.join(", ")}).`;
}

function replay({ sound, unsent }, hear) {
  const heard = unsent ?? sound;
  if (!heard) return [];
  const button = (id, name, given, more = {}) => {
    const made = html("button", { type: "button", id, ...more }, name);
    made.addEventListener("click", () => hear(given));
    return made;
  };
  const player = html("audio", { controls: "", src: heard.url, preload: "metadata", "aria-label": `Replay ${heard.name}` });
  const again = unsent ? [button("sound-again", "Send again", unsent, { "aria-describedby": "sound-error" })] : [];
  const waits = unsent ? [html("p", { class: "quiet" }, "Not answered yet:")] : [];
  return [html("div", { class: "replay" }, ...waits, html("bdi", { class: "quiet" }, heard.name), player, ...again, button("sound-remove", "Remove", null))];
}

/** Gives a file's sound. A recording goes on until that is answered, as it cannot be made again if the file is of no use. */
async function take(file, { sound_bytes: most }, makes, hear) {
  if (file.size > most) throw new Error(`“${file.name}” has ${(file.size / MIB).toFixed(1)} MB; ${Math.round(most / MIB)} MB are taken at most. Cut out this utterance.`);
  if (!file.size) throw new Error(`“${file.name}” is empty.`);
  hear(await soundOf(file, file.name, makes));
}

async function begin(button, limits, makes, hear) {
  button.disabled = true;
  try {
    const recorder = await Recorder.start();
    // Another utterance may have been chosen meanwhile.
    if (!button.isConnected) return recorder.cancel();
    running = { recorder, button, timer: setInterval(() => tick(button, limits, makes, hear), 200) };
  } finally {
    button.disabled = false;
  }
  // What plays would be recorded too.
  button.closest("fieldset").querySelector("audio")?.pause();
  button.classList.add("recording");
  tick(button, limits, makes, hear);
  button.focus();
  announce("Recording. Press again to stop.");
}

function tick(button, limits, makes, hear) {
  const { seconds } = running.recorder;
  const whole = Math.floor(seconds);
  button.lastChild.textContent = `Stop (${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")})`;
  // A little before the limit, so that the file is within it.
  if (seconds > limits.sound_seconds - 0.5) finish(makes, hear).catch((error) => showError(button, error.message));
}

async function finish(makes, hear) {
  const recorder = rest();
  const { seconds } = recorder;
  hear(await soundOf(await recorder.stop(), `Recording of ${seconds.toFixed(1)} s`, makes));
}
