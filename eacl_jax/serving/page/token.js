// Asks for the service's token. It is kept in the tab's session only.

import { hideError, showError } from "./notices.js";

const KEY = "eacl_jax token";

export class TokenDialog {
  #dialog = document.querySelector("#token");
  #input = document.querySelector("#token-value");
  #asked = null;

  constructor() {
    document.querySelector("#token-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#accept();
    });
  }

  get value() {
    return sessionStorage.getItem(KEY) ?? "";
  }

  /** Resolves to whether a token was given; `refused` says that the last one was wrong. Several callers share one dialog. */
  ask(refused) {
    this.#asked ??= this.#open(refused).finally(() => (this.#asked = null));
    return this.#asked;
  }

  async #open(refused) {
    this.#input.value = "";
    this.#dialog.returnValue = "";
    if (refused) {
      sessionStorage.removeItem(KEY);
      showError(this.#input, "The service did not accept this token. Check it and try again.");
    } else {
      hideError(this.#input);
    }
    this.#dialog.showModal();
    await new Promise((resolve) => this.#dialog.addEventListener("close", resolve, { once: true }));
    return this.#dialog.returnValue === "given";
  }

  #accept() {
    const token = this.#input.value.trim();
    // What a header may hold.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      showError(this.#input, token ? "A token has no spaces and no accents. Check it." : "Type or paste the token.");
      return;
    }
    sessionStorage.setItem(KEY, token);
    this.#dialog.close("given");
  }
}
