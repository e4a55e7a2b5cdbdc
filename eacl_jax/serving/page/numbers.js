// Numbers as a reader sees them.

/** A probability in percent; what would round to nothing differs from nothing. */
export function percent(share) {
  if (share > 0 && share < 0.005) return "<1%";
  return `${Math.round(100 * share)}%`;
}

/** A cosine with its sign, two digits. */
export function cosine(value) {
  const digits = Math.abs(value).toFixed(2);
  return digits === "0.00" ? digits : `${value < 0 ? "−" : "+"}${digits}`;
}

/** `1 utterance`, `2 utterances`. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
