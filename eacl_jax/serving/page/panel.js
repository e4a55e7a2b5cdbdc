// The chosen utterance: what the model makes of it, label by label.

import { NONE, isOfSeveral, labelsOf } from "./answers.js";
import { caveats } from "./caveats.js";
import { html } from "./element.js";
import { form } from "./features.js";
import { cosine, percent } from "./numbers.js";

export class Panel {
  #box = document.querySelector("#panel");

  /**
   * `choose(index)` chooses another utterance; null closes the panel. `give()` answers with the features in its form,
   * `hear(sound, index, utterance)` with the utterance's sound.
   */
  constructor(choose, give, hear) {
    this.choose = choose;
    this.give = give;
    this.hear = hear;
    this.#box.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#box.classList.contains("open")) choose(null);
    });
  }

  /** Nothing is chosen. */
  clear() {
    this.#box.classList.remove("open");
    this.#box.replaceChildren(
      html("h3", { class: "title" }, "One utterance"),
      html("p", { class: "quiet" }, "Choose an utterance, in the conversation or in the chart: here you see how probable each emotion is."),
    );
  }

  /**
   * Shows utterance `index` of `total`. `words` maps each label to its anchor's word, `thresholds` to the probability from which on
   * it is answered, where an utterance may have several. `features` are what the model reads beside the text, if anything;
   * `limits` are the service's.
   */
  show(utterance, { index, total, labels, words, thresholds, hues, features, limits }) {
    const answered = new Set(labelsOf(utterance));
    const several = isOfSeveral(utterance);
    const ranked = [...labels].sort(
      (a, b) => answered.has(b) - answered.has(a) || utterance.probabilities[b] - utterance.probabilities[a],
    );
    // Not where labels' frequencies or the rest of the dialogue count as well.
    const highest = Math.max(...labels.map((label) => utterance.cosines[label]));
    const nearest = utterance.cosines[utterance.emotion] === highest ? " The nearest anchor is the answer." : "";
    // Redrawn by its buttons: the keyboard must not fall out of the panel.
    const focused = this.#box.contains(document.activeElement) ? document.activeElement.id : "";
    this.#box.classList.add("open");
    this.#box.replaceChildren(
      html(
        "div",
        { class: "heading" },
        html("h3", { class: "title" }, `Utterance ${index + 1} of ${total}`),
        html(
          "div",
          { class: "steps" },
          this.#button("step-back", "Previous utterance", "‹", index > 0, () => this.choose(index - 1)),
          this.#button("step-on", "Next utterance", "›", index < total - 1, () => this.choose(index + 1)),
          this.#button("step-out", "Close", "×", true, () => this.choose(null)),
        ),
      ),
      html("p", { class: "speaker", dir: "auto" }, utterance.speaker),
      html("p", { class: "quote", dir: "auto" }, utterance.text),
      ...caveats(utterance),
      ...(features ? [form(utterance, features, limits, this.give, (sound) => this.hear(sound, index, utterance))] : []),
      ...(answered.size ? [] : [html("p", { class: "without" }, `This utterance has ${NONE}: no probability reaches its threshold.`)]),
      html(
        "table",
        { class: several ? "several" : false },
        html("caption", { class: "unseen" }, `${several ? "Emotions, those of the utterance first, then" : "Emotions, that of the utterance first, then"} the most probable first`),
        html("thead", {}, html("tr", {}, ...["Emotion", "Probability", "Cosine"].map((head) => html("th", { scope: "col" }, head)))),
        html("tbody", {}, ...ranked.map((label) => row(utterance, label, answered.has(label), { words, thresholds, hues }))),
      ),
      html(
        "p",
        { class: "quiet" },
        html("strong", {}, "Probability"),
        several
          ? ": how likely the model holds each emotion by itself; an utterance may have several (✓), or none. The mark on a bar is the " +
              "label’s threshold: from there on it is answered. "
          : ": how likely the model holds each emotion; together they make 100%. ",
        html("strong", {}, "Cosine"),
        ": how near the utterance is to the emotion’s anchor, where its word stands in the model’s space. " +
          `+1 is the same direction, 0 unrelated, −1 opposite.${several ? "" : nearest}`,
      ),
    );
    if (focused) this.#focus(focused);
  }

  #button(id, name, sign, enabled, act) {
    const button = html("button", { type: "button", id, "aria-label": name, title: name, disabled: enabled ? null : "" }, sign);
    button.addEventListener("click", act);
    return button;
  }

  #focus(id) {
    const button = this.#box.querySelector(`#${id}`);
    (button && !button.disabled ? button : this.#box.querySelector(".steps button:enabled"))?.focus();
  }
}

function row(utterance, label, answered, { words, thresholds, hues }) {
  const word = words.get(label) ?? label;
  const share = utterance.probabilities[label];
  const bar = html("span", { class: "bar", "data-hue": hues.get(label), "aria-hidden": "true" });
  bar.style.setProperty("--share", share);
  if (thresholds.has(label)) {
    const mark = html("span", { class: "threshold", title: `Threshold ${percent(thresholds.get(label))}` });
    mark.style.setProperty("--share", thresholds.get(label));
    bar.append(mark);
  }
  return html(
    "tr",
    { class: answered ? "best" : false },
    html(
      "th",
      { scope: "row" },
      ...(answered && isOfSeveral(utterance) ? [html("span", { class: "tick-mark", role: "img", "aria-label": "answered" }, "✓")] : []),
      html("bdi", {}, label),
      ...(word === label ? [] : [html("small", {}, "anchor: ", html("bdi", {}, word.replaceAll("|", ", ")))]),
    ),
    html("td", {}, html("div", { class: "share" }, bar, html("span", { class: "number" }, percent(share)))),
    html("td", { class: "number" }, cosine(utterance.cosines[label])),
  );
}
