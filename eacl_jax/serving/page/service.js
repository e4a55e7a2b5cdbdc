// Talks to the service; every failure becomes a ServiceError in words that can be shown.

/** `status` is 0 where no answer came; `field` is the service's name of what was wrong, or "". */
export class ServiceError extends Error {
  constructor(message, status = 0, field = "") {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/** Requests, with the token where the service asks for one. */
export class Service {
  /** `token` has `value` and `ask(refused)`, as TokenDialog. */
  constructor(token) {
    this.token = token;
  }

  /** What the model is, and its `version`, which answers have too. */
  async model() {
    const { content, version } = await this.#request("v1/model");
    return { ...content, version };
  }

  /** The page's built-in examples. */
  async examples() {
    return (await this.#request("examples.json")).content;
  }

  /**
   * Answers dialogues, each `{transcript}` or `{utterances}`; `typedLabels` are labels as they were typed, or null. `named(index)` is what an
   * error calls an utterance of the first one, where that is not its number in it.
   * Gives the model's version, the labels, Maps to their words and to their thresholds (empty where an utterance has one label),
   * warnings, and each dialogue's utterances; those with a sound have the `features` that were made of it.
   */
  async predict(dialogues, typedLabels, named = numbered) {
    const labels = typedLabels === null ? {} : { labels: typedLabels };
    const { content: answer, version } = await this.#request("v1/predict", { dialogues, ...labels, return_features: true }, named);
    return {
      version,
      labels: answer.labels,
      words: new Map(Object.entries(answer.words)),
      thresholds: new Map(Object.entries(answer.thresholds ?? {})),
      // Those that name a field of the answers are left out: the page says it beside each utterance that it is about.
      warnings: answer.warnings.filter((each) => !/"(truncated|unknown_text)": true/.test(each)).map((each) => readable(each, named)),
      dialogues: answer.dialogues.map((each) => each.utterances),
    };
  }

  async #request(path, body, named = numbered) {
    for (;;) {
      const sent = this.token.value;
      const response = await send(path, body, sent);
      if (response.status !== 401) return read(response, named);
      // Another request may have asked for a token meanwhile.
      if (this.token.value === sent && !(await this.token.ask(Boolean(sent)))) {
        throw new ServiceError("The service answers only with its token. Press the button again to give it.", 401);
      }
    }
  }
}

async function send(path, body, token) {
  const headers = { accept: "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  try {
    return await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  } catch {
    throw new ServiceError("The service cannot be reached. Check that it is running and that you are online, then try again.");
  }
}

async function read(response, named) {
  const content = await response.json().catch(() => null);
  if (response.ok && content) return { content, version: response.headers.get("eacl-model") };
  if (response.status === 429) throw new ServiceError(`The service is busy. Try again in ${wait(response)}.`, 429);
  const message = content?.error?.message ?? `The service failed (status ${response.status}). Try again.`;
  throw new ServiceError(readable(message, named), response.status, content?.error?.field ?? "");
}

// The page sends one dialogue; its reader knows no fields.
function readable(message, named) {
  return message
    .replace(/^dialogues\[0\]\.utterances\[(\d+)\]\.audio(\.data)?/, (_, index) => `the sound of ${named(Number(index))}`)
    .replace(/^dialogues\[0\]\.utterances\[(\d+)\](\.[\w-]+|\[\d+\])*/, (_, index) => named(Number(index)))
    .replace(/^dialogues\[0\](\.\w+)?/, "the conversation")
    .replace(/^labels: /, "");
}

function numbered(index) {
  return `utterance ${index + 1}`;
}

function wait(response) {
  const seconds = Number(response.headers.get("retry-after"));
  if (!(seconds > 0)) return "a moment";
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
