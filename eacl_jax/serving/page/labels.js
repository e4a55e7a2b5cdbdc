// What is typed as own labels.

/**
 * Reads `label: word` lines or a list with commas; a label without a word stands for itself.
 * Returns a Map from label to word. Throws an Error whose message says what to change.
 */
export function parseLabels(typed) {
  // In a line with one colon, commas belong to the phrase.
  const items = typed.split("\n").flatMap((line) => (line.split(":").length === 2 ? [line] : line.split(",")));
  const words = new Map();
  for (const item of items.map((each) => each.trim()).filter(Boolean)) {
    const [, label, word] = item.match(/^([^:]*?)\s*(?::\s*(.*))?$/s);
    if (!label) throw new Error(`“${item}” has no label before the colon. Write it as “label: word”.`);
    if (word === "") throw new Error(`“${label}” has no word after the colon. Give one, or leave out the colon.`);
    if (words.has(label)) throw new Error(`“${label}” stands there twice. Keep one of them.`);
    words.set(label, word ?? label);
  }
  if (words.size < 2) throw new Error("At least two labels are needed, such as “calm, worried”.");
  return words;
}
