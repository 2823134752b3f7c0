// Finds the Entresol wallet on a page. No dependencies and no build step: a page can load this file as it is.
// The types stand in index.d.ts.

/** @import { AnnouncedWallet, EntresolProvider, SolutionInfo } from "./index.js" */

export const RDNS = "example.entresol";
/** Extensions announce themselves before a page's scripts run; what comes late is a browser under load. */
const PATIENCE = 1_000;

/** @type {typeof import("./index.js").watchWallets} */
export function watchWallets(listener, target = globalThis.window) {
  const seen = new Set();
  /** @param {Event} event */
  const announced = (event) => {
    const wallet = /** @type {CustomEvent<AnnouncedWallet>} */ (event).detail;
    // Another extension's announcement may be anything.
    const { info, provider } = wallet ?? {};
    if (typeof info?.uuid !== "string" || typeof provider?.request !== "function" || seen.has(info.uuid)) return;
    seen.add(info.uuid);
    listener(wallet);
  };
  target.addEventListener("eip6963:announceProvider", announced);
  target.dispatchEvent(new Event("eip6963:requestProvider"));
  return () => target.removeEventListener("eip6963:announceProvider", announced);
}

/** @type {typeof import("./index.js").discover} */
export function discover({ timeoutMs = PATIENCE, target = globalThis.window } = {}) {
  return new Promise((resolve) => {
    let end = () => {};
    const timer = setTimeout(() => finish(undefined), timeoutMs);
    /** @param {AnnouncedWallet<EntresolProvider> | undefined} wallet */
    const finish = (wallet) => {
      clearTimeout(timer);
      // A wallet that answers at once does so before `watchWallets` returns.
      queueMicrotask(() => end());
      resolve(wallet);
    };
    end = watchWallets((wallet) => {
      if (wallet.info.rdns === RDNS) finish(/** @type {AnnouncedWallet<EntresolProvider>} */ (wallet));
    }, target);
  });
}

/** @type {(known: readonly SolutionInfo[], name: string) => SolutionInfo | undefined} */
const find = (known, name) => known.find((one) => one.name === name || String(one.id) === name);

/** @type {typeof import("./index.js").requestLayer2} */
export async function requestLayer2(provider, wanted) {
  const { solution, actions = [], state = [] } = wanted;
  const granted = find(await provider.request({ method: "layer2_getSolutions", params: [] }), solution);
  const has = granted?.actions.map((action) => action.name) ?? [];
  const missing =
    actions.some((/** @type {string} */ action) => !has.includes(action)) ||
    state.some((/** @type {string} */ name) => !granted?.state.includes(name));
  if (granted === undefined || missing) {
    // The new grant takes the old one's place, so that it has to say everything.
    const layer2 = {
      solution,
      actions: [...new Set([...has, ...actions])],
      state: [...new Set([...(granted?.state ?? []), ...state])],
    };
    await provider.request({ method: "wallet_requestPermissions", params: [{ layer2 }] });
  }
  return injected(provider, solution, actions);
}

/**
 * The solution's object, once it has these actions: the event that brings it may come after the answer.
 *
 * @param {EntresolProvider} provider
 * @param {string} solution
 * @param {readonly string[]} actions
 * @returns {Promise<any>}
 */
function injected(provider, solution, actions) {
  return new Promise((resolve) => {
    const look = () => {
      const found = /** @type {any} */ (provider.layer2)[solution];
      if (found === undefined || !actions.every((action) => action in found)) return;
      provider.removeListener("layer2Changed", look);
      resolve(found);
    };
    provider.on("layer2Changed", look);
    look();
  });
}

/** @type {typeof import("./index.js").watchState} */
export async function watchState(provider, solution, listener) {
  const known = find(await provider.request({ method: "layer2_getSolutions", params: [] }), solution);
  const names = [solution, known?.name, String(known?.id)];
  let told = false;
  /** @param {any} message */
  const changed = (message) => {
    if (message?.type !== "layer2_stateChanged" || !names.includes(String(message.data.solution))) return;
    told = true;
    listener(message.data.state);
  };
  // Listening begins first, so that no change falls between the two; a change is newer than the first answer.
  provider.on("message", changed);
  const end = () => void provider.removeListener("message", changed);
  try {
    const { state } = await provider.request({ method: "layer2_getState", params: { solution } });
    if (!told) listener(/** @type {any} */ (state));
  } catch (error) {
    end();
    throw error;
  }
  return end;
}
