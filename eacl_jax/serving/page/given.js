// What the reader gave with utterances, numbers and sounds, which answers do not repeat.

import { isolated } from "./element.js";
import { count } from "./numbers.js";
import { SOMEBODY, lineOf } from "./transcript.js";

/** An utterance as the service is asked of it: of a sound that it has heard before, what it made of it. */
export function asked({ speaker, text, features, sound }) {
  const all = { ...features, ...sound?.features };
  const audio = sound && !sound.features ? { audio: { data: sound.data } } : {};
  return { speaker, text, ...(Object.keys(all).length && { features: all }), ...audio };
}

/**
 * All utterances of a conversation as they are asked again; `typed` is the text that they stand in, or null. Those that it names no speaker of are
 * given none, so that the service says so again.
 */
export function askedOf(utterances, typed) {
  const named = typed === null || typed.includes(SOMEBODY);
  return utterances.map((each) => asked(named || each.speaker !== SOMEBODY ? each : { ...each, speaker: null }));
}

/** The answers with the features and sounds that were asked with; a sound with the features that were made of it, if the model takes so many numbers. */
export function keeping(given, found) {
  const most = found.by.limits.numbers;
  found.dialogues[0].forEach((each, index) => {
    const { features, sound } = given[index];
    const made = each.features ?? sound?.features;
    delete each.features;
    if (features) each.features = features;
    if (sound) each.sound = { ...sound, ...(made && numbersIn(made) <= most && { features: made }) };
  });
  return found;
}

function numbersIn(features) {
  return Object.values(features).flat(2).length;
}

/**
 * Puts what was typed with utterances `before`, or is a sound, and was not answered yet with those that are there `now`, whose speaker and text
 * are the same. Gives those of `before` that lose such a sound, as their `sound`.
 */
export function keepWaiting(before, now) {
  if (!before.some(isWaiting)) return [];
  const { pairs, left } = followed(before, now, isWaiting);
  for (const [from, to] of pairs) {
    const { typed, unsent } = before[from];
    Object.assign(now[to], typed && { typed }, unsent && { unsent });
  }
  return left.filter(({ unsent }) => unsent).map(({ speaker, text, unsent }) => ({ speaker, text, sound: unsent }));
}

function isWaiting({ typed, unsent }) {
  return Boolean(typed || unsent);
}

/** An utterance as downloads hold it: with the numbers it was answered by, and of a sound its name as another field. */
export function written({ sound, features, typed, unsent, ...answer }) {
  const all = { ...features, ...sound?.features };
  return { ...answer, ...(Object.keys(all).length && { features: all }), ...(sound && { audio: sound.name }) };
}

/** Whether anything was given with an utterance. */
export function hasGiven({ features, sound }) {
  return Boolean(features || sound);
}

/**
 * What of utterances `before` goes on with those that are there `now`, whose speaker and text are the same: `now` with what was
 * given, and those of `before` that lose what was given with them.
 */
export function carriedOver(before, now) {
  const { pairs, left } = followed(before, now, hasGiven);
  const given = now.map(({ speaker, text }) => ({ speaker, text }));
  for (const [from, to] of pairs) {
    const { features, sound } = before[from];
    Object.assign(given[to], features && { features }, sound && { sound });
  }
  return { given, lost: left.filter(hasGiven) };
}

/** Where utterances `before` are `now`, as pairs of indexes; and those that are `left`. Of those that `count`, the moved ones are found too. */
function followed(before, now, counts) {
  const pairs = matched(before, now, counts);
  const free = (all, side) => [...all.keys()].filter((index) => !pairs.some((pair) => pair[side] === index));
  // If there is no other like it.
  for (const index of free(before, 0).filter((each) => counts(before[each]))) {
    const like = free(now, 1).filter((other) => isSame(before[index], now[other]));
    if (like.length === 1) pairs.push([index, like[0]]);
  }
  return { pairs, left: free(before, 0).map((index) => before[index]) };
}

// So many of them are named; the rest is counted.
const NAMED = 3;

/** What is no longer there of utterances that had numbers or sounds, in a sentence. */
export function lostInWords(lost) {
  const named = lost.slice(0, NAMED).map(({ speaker, text, features, sound }) => {
    const what = [...(features ? ["numbers"] : []), ...(sound ? ["sound"] : [])].join(" and ");
    return `the ${what} of “${isolated(shortened(lineOf({ speaker, text })))}”`;
  });
  if (lost.length > NAMED) named.push(`of ${count(lost.length - NAMED, "other utterance")}`);
  return `Left out, as the utterances were changed: ${named.join("; ")}.`;
}

function shortened(line) {
  const signs = [...line];
  return signs.length > 60 ? `${signs.slice(0, 60).join("")}…` : line;
}

/** Whether the same is said by the same speaker. */
export function isSame(one, other) {
  return one.speaker === other.speaker && one.text === other.text;
}

/** Pairs of indexes of a longest common subsequence; of several, one that keeps most of those that `count`. */
function matched(before, now, counts) {
  const value = before.map((each) => before.length + 1 + (counts(each) ? 1 : 0));
  const best = Array.from({ length: before.length + 1 }, () => new Float64Array(now.length + 1));
  for (let one = before.length - 1; one >= 0; one--) {
    for (let other = now.length - 1; other >= 0; other--) {
      const both = isSame(before[one], now[other]) ? value[one] + best[one + 1][other + 1] : 0;
      best[one][other] = Math.max(both, best[one + 1][other], best[one][other + 1]);
    }
  }
  const pairs = [];
  for (let one = 0, other = 0; one < before.length && other < now.length; ) {
    const both = isSame(before[one], now[other]) ? value[one] + best[one + 1][other + 1] : 0;
    if (both === best[one][other] && both) pairs.push([one++, other++]);
    else if (best[one][other] === best[one + 1][other]) one++;
    else other++;
  }
  return pairs;
}
