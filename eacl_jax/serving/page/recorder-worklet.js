// Runs beside the page: passes the microphone's first channel on, a piece of some 1,000 samples at a time.

const PIECE = 1024;

class Tap extends AudioWorkletProcessor {
  #piece = new Float32Array(PIECE);
  #filled = 0;

  process([input]) {
    if (!input.length) return true;
    this.#piece.set(input[0], this.#filled);
    this.#filled += input[0].length;
    if (this.#filled + input[0].length > PIECE) {
      this.port.postMessage(this.#piece.slice(0, this.#filled));
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("tap", Tap);
