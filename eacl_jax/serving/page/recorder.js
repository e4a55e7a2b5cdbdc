// The microphone: what it hears, as a WAV file of 16 bit, mono, 16 kHz.

const RATE = 16_000;

/** Why nothing can be recorded, in words for the reader. */
export class MicrophoneError extends Error {}

/** One recording. */
export class Recorder {
  #stream;
  #context;
  #pieces = [];
  #length = 0;

  /** Asks for the microphone and begins. Throws a MicrophoneError. */
  static async start() {
    const recorder = new Recorder();
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
      throw new MicrophoneError("This browser gives no microphone to this page: open it by https or as localhost, or upload a file.");
    }
    try {
      // As it is: what makes a voice clearer for a call changes how loud and how high it is.
      const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      recorder.#stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
      recorder.#context = new AudioContext();
      await recorder.#context.resume();
      await recorder.#context.audioWorklet.addModule("recorder-worklet.js");
    } catch (error) {
      recorder.cancel();
      throw new MicrophoneError(reason(error), { cause: error });
    }
    recorder.#listen();
    return recorder;
  }

  /** How long it is, in seconds. */
  get seconds() {
    return this.#length / this.#context.sampleRate;
  }

  /** Ends it; gives the file as a Blob. */
  async stop() {
    const rate = this.#context.sampleRate;
    this.cancel();
    if (!this.#length) throw new MicrophoneError("The microphone gave no sound. Try again, and speak a little longer.");
    const sound = new AudioBuffer({ length: this.#length, sampleRate: rate });
    let at = 0;
    for (const piece of this.#pieces) {
      sound.copyToChannel(piece, 0, at);
      at += piece.length;
    }
    const offline = new OfflineAudioContext(1, Math.max(1, Math.round((this.#length * RATE) / rate)), RATE);
    const source = new AudioBufferSourceNode(offline, { buffer: sound });
    source.connect(offline.destination);
    source.start();
    return wav((await offline.startRendering()).getChannelData(0));
  }

  /** Ends it, and lets go of the microphone. */
  cancel() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context && this.#context.state !== "closed") this.#context.close();
  }

  #listen() {
    const source = new MediaStreamAudioSourceNode(this.#context, { mediaStream: this.#stream });
    const tap = new AudioWorkletNode(this.#context, "tap", { numberOfOutputs: 1, outputChannelCount: [1] });
    tap.port.onmessage = ({ data }) => {
      this.#pieces.push(data);
      this.#length += data.length;
    };
    // It gives silence, but runs only where it leads somewhere.
    source.connect(tap).connect(this.#context.destination);
  }
}

function reason({ name, message }) {
  if (name === "NotAllowedError") return "The browser did not let this page use the microphone. Allow it beside the page’s address, then press Record again.";
  if (name === "NotFoundError") return "There is no microphone. Connect one, or upload a file.";
  if (name === "NotReadableError") return "The microphone cannot be used; another program may have it. Close that, then press Record again.";
  return `Recording failed (${message || name}). Upload a file instead.`;
}

/** Samples from -1 to 1 as a WAV file. */
function wav(samples) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, index) => bytes.setUint8(at + index, letter.charCodeAt(0)));
  word(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, 1, true);
  bytes.setUint32(24, RATE, true);
  bytes.setUint32(28, 2 * RATE, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  word(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => bytes.setInt16(44 + 2 * index, Math.max(-1, Math.min(1, sample)) * 0x7fff, true));
  return new Blob([bytes], { type: "audio/wav" });
}
