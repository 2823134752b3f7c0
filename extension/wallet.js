// The line to the wallet: the native program `entresol bridge`, or a WebSocket on loopback where there is none.
// It answers the challenge, asks for a pairing code, joins split messages, and calls again when the line is gone.

import { answer } from "./key.js";

/** The native program's name, as `entresol bridge install` writes it. */
const PROGRAM = "com.entresol.bridge";
/** First and longest pause before the next attempt. */
const [PAUSE, LONGEST_PAUSE] = [500, 30_000];
/** Most characters and pieces of one joined message: what the wallet splits is what a browser takes at most at once. */
const [MAX_JOINED, MAX_PARTS] = [64 << 20, 1024];

/**
 * Where the connection stands. `connecting`: nothing known yet. `missing`: no program and no socket. `down`: the program
 * is there, the wallet is not. `unpaired`, `code`: the wallet does not know this profile yet. `refused`: it said no.
 *
 * @typedef {"connecting" | "missing" | "down" | "unpaired" | "code" | "refused" | "ready"} State
 * @typedef {{ state: State, why: string, code?: string, expiresAt?: number, profile?: string, via: "native" | "websocket" }} Standing
 * @typedef {{ send: (message: object) => void, close: () => void }} Transport
 */

export class Wallet {
  /** @type {Standing} */
  standing = { state: "connecting", why: "", via: "native" };
  /** Port of the wallet's site listener, when the user gave one. @type {number | undefined} */
  socketPort;
  /** @type {Transport | undefined} */
  #transport;
  #pause = PAUSE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {{ message: number, count: number, texts: string[], length: number } | undefined} */
  #joining;
  /** @type {(message: any) => void} */
  #received;
  /** @type {() => void} */
  #moved;

  /**
   * @param {(message: any) => void} received What the wallet says once the profile is known.
   * @param {() => void} moved The standing is another one.
   */
  constructor(received, moved) {
    this.#received = received;
    this.#moved = moved;
  }

  /** @param {object} message */
  send(message) {
    this.#transport?.send(message);
  }

  /** Connects now, if nothing is under way. */
  wake() {
    if (this.#transport !== undefined) return;
    clearTimeout(this.#retry);
    this.#native();
  }

  /** Drops the line and connects anew, for another port or when the user asks. */
  restart() {
    const transport = this.#transport;
    this.#transport = undefined;
    transport?.close();
    this.#pause = PAUSE;
    this.wake();
  }

  /** @param {string} name What the user will see beside the code. */
  pair(name) {
    if (this.standing.state === "unpaired" || this.standing.state === "code") this.send({ type: "pair", name });
  }

  /** @param {Omit<Standing, "via">} standing @param {"native" | "websocket"} [via] */
  #stands(standing, via = this.standing.via) {
    this.standing = { ...standing, via };
    this.#moved();
  }

  #native() {
    let heard = false;
    const port = chrome.runtime.connectNative(PROGRAM);
    const transport = { send: port.postMessage.bind(port), close: () => port.disconnect() };
    this.#begins(transport, "native");
    port.onMessage.addListener((message) => {
      heard = true;
      if (this.#transport === transport) void this.#hears(message);
    });
    port.onDisconnect.addListener(() => {
      const why = chrome.runtime.lastError?.message ?? "";
      if (this.#transport !== transport) return;
      this.#transport = undefined;
      if (!heard && this.socketPort !== undefined) {
        this.#socket(this.socketPort);
        return;
      }
      this.#ended(heard ? "down" : "missing", why);
    });
  }

  /** @param {number} port */
  #socket(port) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/extension`);
    const transport = {
      send: (/** @type {object} */ message) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
      },
      close: () => socket.close(),
    };
    this.#begins(transport, "websocket");
    socket.onmessage = (event) => {
      if (this.#transport === transport) void this.#hears(parsed(event.data));
    };
    socket.onclose = () => {
      if (this.#transport !== transport) return;
      this.#transport = undefined;
      this.#ended("down", `nothing answers on port ${port}`);
    };
  }

  /** @param {Transport} transport @param {"native" | "websocket"} via */
  #begins(transport, via) {
    this.#transport = transport;
    this.#joining = undefined;
    // Who is told "not there" stays told so until there is something new.
    const known = this.standing.state === "missing" || this.standing.state === "down";
    this.#stands(known ? this.standing : { state: "connecting", why: "" }, via);
  }

  /** @param {State} state @param {string} why */
  #ended(state, why) {
    // What the wallet refused is worth more than that it then hung up.
    if (this.standing.state !== "refused") this.#stands({ state, why });
    this.#retry = setTimeout(() => this.#native(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  /** @param {any} message */
  async #hears(message) {
    if (typeof message !== "object" || message === null) return;
    switch (message.type) {
      case "part":
        await this.#part(message);
        break;
      case "challenge":
        await this.#challenged(message);
        break;
      case "unpaired":
        this.#stands({ state: "unpaired", why: "" });
        break;
      case "code":
        this.#stands({
          state: "code",
          why: "",
          code: String(message.code),
          expiresAt: Date.now() + Number(message.expiresInMs),
        });
        break;
      case "welcome":
        this.#pause = PAUSE;
        this.#stands({ state: "ready", why: "", profile: String(message.profile) });
        break;
      case "down":
        this.#stands({ state: "down", why: String(message.why) });
        break;
      case "refused":
        this.#stands({ state: "refused", why: String(message.why) });
        break;
      default:
        if (this.standing.state === "ready") this.#received(message);
    }
  }

  /** @param {any} message */
  async #challenged({ version, nonce }) {
    if (version !== 1 || typeof nonce !== "string") {
      const why = "this wallet speaks another version of the protocol; update the extension or the wallet";
      this.#stands({ state: "refused", why });
      return;
    }
    // A wallet that came back knows nothing of what was open before.
    this.#stands({ state: "connecting", why: "" });
    const transport = this.#transport;
    try {
      const hello = await answer(nonce);
      if (this.#transport === transport) transport?.send(hello);
    } catch (error) {
      this.#stands({ state: "refused", why: `this profile's key cannot be used: ${error}` });
    }
  }

  /** @param {any} part */
  async #part({ message, index, count, text }) {
    if (index === 0) this.#joining = { message, count, texts: [], length: 0 };
    const joining = this.#joining;
    const fits =
      joining !== undefined &&
      typeof text === "string" &&
      joining.message === message &&
      joining.count === count &&
      joining.texts.length === index &&
      count <= MAX_PARTS &&
      joining.length + text.length <= MAX_JOINED;
    if (!fits) {
      this.restart();
      return;
    }
    joining.texts.push(text);
    joining.length += text.length;
    if (joining.texts.length < count) return;
    this.#joining = undefined;
    await this.#hears(parsed(joining.texts.join("")));
  }
}

/** @param {unknown} text */
function parsed(text) {
  try {
    return typeof text === "string" ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
