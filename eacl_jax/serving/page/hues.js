// Which of the series colours stands for which label.

// The colours that people expect, whatever the labels' order. Numbers of `Theme.series` in eacl_jax/reports/theme.py.
const EXPECTED = [
  [0, ["sadness", "sad"]],
  [1, ["anger", "angry", "mad"]],
  [2, ["disgust"]],
  [3, ["fear", "scared"]],
  [4, ["joy", "joyful", "happy", "happiness"]],
  [5, ["neutral", "calm", "other"]],
  [6, ["surprise"]],
];

/**
 * The number of a colour for each label: the expected ones, then those left over, from the start again when all are used.
 * Colours help only: a label is always written beside its colour.
 */
export function assignHues(labels) {
  const hues = Number(getComputedStyle(document.documentElement).getPropertyValue("--hues"));
  const expected = new Map(EXPECTED.flatMap(([hue, names]) => names.map((name) => [name, hue])));
  const taken = new Map();
  for (const label of labels) {
    const hue = expected.get(label.toLowerCase());
    if (hue !== undefined && ![...taken.values()].includes(hue)) taken.set(label, hue);
  }
  const all = [...Array(hues).keys()];
  const free = all.filter((hue) => ![...taken.values()].includes(hue));
  const rest = labels.filter((label) => !taken.has(label));
  rest.forEach((label, index) => taken.set(label, index < free.length ? free[index] : all[(index - free.length) % hues]));
  return taken;
}
