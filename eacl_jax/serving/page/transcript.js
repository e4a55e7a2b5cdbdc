// Utterances as the lines that the service reads them from.

/** Who speaks where a line does not say so. */
export const SOMEBODY = "Speaker";

/** `Ann: I got it!` */
export function lineOf({ speaker, text }) {
  return `${speaker}: ${text}`;
}

/** The same of an utterance that may have several lines, as messages of a chat's export have. */
export function flatten({ speaker, text }) {
  return lineOf({ speaker, text: text.replace(/\s*[\r\n]+\s*/g, " ") });
}

/** Whether each line of the text is one of the utterances, so that a further one may stand below. A chat's export is not. */
export function isPlain(text, utterances) {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim()).filter(Boolean);
  return lines.length === utterances.length && lines.every((line, index) => isLineOf(line, utterances[index]));
}

function isLineOf(line, { speaker, text }) {
  if (line === text) return speaker === SOMEBODY;
  const between = line.slice(speaker.length, line.length - text.length);
  return line.startsWith(speaker) && line.endsWith(text) && /^\s*:\s*$/.test(between);
}
