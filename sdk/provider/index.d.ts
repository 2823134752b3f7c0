// What the Entresol wallet offers to a page. `entresol types SOLUTION` prints what belongs into `Layer2Solutions` and
// `Layer2States` for a solution; without that, layer-2 actions take and give anything.

/** Bytes, an address or a number as Ethereum's JSON-RPC writes them. */
export type Hex = `0x${string}`;

declare global {
  /** Solutions by the name they have in `ethereum.layer2`; filled by the output of `entresol types`. */
  interface Layer2Solutions {}
  /** Their published state by the same name; filled by the output of `entresol types`. */
  interface Layer2States {}
  interface WindowEventMap {
    "eip6963:announceProvider": CustomEvent<AnnouncedWallet>;
    "eip6963:requestProvider": Event;
  }
}

/** The names of solutions with types, or any name when there are none. */
export type SolutionName = keyof Layer2Solutions extends never ? string : keyof Layer2Solutions & string;
/** An action: parameters by name, and an id under which its result is kept and found again after a reload. */
export type AnyAction = (params?: any, options?: { id?: string }) => Promise<any>;
/** The actions of a solution. */
export type Solution<N extends string> = N extends keyof Layer2Solutions
  ? Layer2Solutions[N]
  : Readonly<Record<string, AnyAction>>;
/** The published state of a solution: decimal strings for big integers, and only names that were granted. */
export type State<N extends string> = N extends keyof Layer2States ? Layer2States[N] : Readonly<Record<string, any>>;
/** What was granted to this origin. By number always, by name and by title where only one solution is called so. */
export type Layer2 = { readonly [N in SolutionName]?: Solution<N> };

/** A value's name and Solidity ABI type. */
export interface Typed {
  readonly name: string;
  readonly type: string;
  readonly unit?: string;
  readonly role?: string;
}

/** What `layer2_getSolutions` and `layer2Changed` say about a solution. */
export interface SolutionInfo {
  /** The wallet's own number for it. */
  readonly id: number;
  /** The user's name for it. */
  readonly name: string;
  /** The plugin's name for itself. */
  readonly title: string;
  /** Actions granted to this origin. */
  readonly actions: readonly {
    readonly name: string;
    readonly description: string;
    readonly signature: string;
    readonly params: readonly Typed[];
    readonly returns: readonly Typed[];
    readonly readOnly: boolean;
  }[];
  /** Names of published state granted to this origin. */
  readonly state: readonly string[];
}

/** What a page asks the user for. */
export interface Layer2Request<N extends string = string> {
  /** Name or number of the solution. */
  readonly solution: N;
  readonly actions?: readonly (N extends keyof Layer2Solutions ? keyof Layer2Solutions[N] & string : string)[];
  readonly state?: readonly (N extends keyof Layer2States ? keyof Layer2States[N] & string : string)[];
}

/** Data of the `message` event with type `layer2_stateChanged`. */
export interface Layer2StateChanged {
  readonly type: "layer2_stateChanged";
  /** Number and name of the solution, and all state that the page was granted there: it takes the place of what was. */
  readonly data: { readonly solution: number; readonly name: string; readonly state: Readonly<Record<string, any>> };
}

/** An ERC-2255 permission. */
export interface Permission {
  readonly parentCapability: string;
  readonly invoker?: string;
  readonly caveats?: readonly { readonly type: string; readonly value: unknown }[];
}

/**
 * Errors of EIP-1193, EIP-1474 and JSON-RPC: 4001 the user said no, 4100 not granted or the wallet is locked, 4200 no such
 * method, 4900 the wallet is not there, -32602 parameters that do not fit, -32002 the outcome is unknown.
 */
export interface ProviderRpcError extends Error {
  readonly code: number;
  readonly data?: unknown;
}

/** A transaction as `eth_sendTransaction` takes it; the wallet fills in nonce and fees. */
export interface TransactionRequest {
  readonly from: Hex;
  readonly to?: Hex;
  readonly value?: Hex;
  readonly data?: Hex;
  readonly gas?: Hex;
  readonly chainId?: Hex;
}

/** Methods with a type of their own. Every other method takes and gives anything. */
export interface Methods {
  eth_requestAccounts: { params?: readonly []; result: readonly Hex[] };
  eth_accounts: { params?: readonly []; result: readonly Hex[] };
  eth_chainId: { params?: readonly []; result: Hex };
  eth_sendTransaction: { params: readonly [TransactionRequest]; result: Hex };
  personal_sign: { params: readonly [data: string, address: Hex]; result: Hex };
  eth_signTypedData_v4: { params: readonly [address: Hex, typedData: string | object]; result: Hex };
  wallet_switchEthereumChain: { params: readonly [{ chainId: Hex }]; result: null };
  wallet_getPermissions: { params?: readonly []; result: readonly Permission[] };
  wallet_requestPermissions: {
    params: readonly [{ readonly layer2: Layer2Request } | { readonly eth_accounts: object }];
    result: readonly Permission[];
  };
  layer2_getSolutions: { params?: readonly [] | {}; result: readonly SolutionInfo[] };
  layer2_getState: {
    params: { readonly solution: string; readonly names?: readonly string[] };
    result: { readonly solution: string; readonly version: number; readonly state: Readonly<Record<string, any>> };
  };
  layer2_call: {
    params: { readonly solution: string; readonly action: string; readonly params?: object; readonly id?: string };
    result: any;
  };
}

/** Events and what their listeners get. */
export interface Events {
  connect: { readonly chainId: Hex };
  disconnect: ProviderRpcError;
  accountsChanged: readonly Hex[];
  chainChanged: Hex;
  message: Layer2StateChanged | { readonly type: string; readonly data: unknown };
  /** The granted solutions are others than before. */
  layer2Changed: readonly SolutionInfo[];
}

/** Any wallet's provider, as EIP-1193 has it. */
export interface Provider {
  request<M extends keyof Methods>(
    request: { readonly method: M } & Omit<Methods[M], "result">,
  ): Promise<Methods[M]["result"]>;
  request(request: { readonly method: string; readonly params?: readonly unknown[] | object }): Promise<any>;
  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): unknown;
  removeListener<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): unknown;
}

/** The Entresol wallet's provider. */
export interface EntresolProvider extends Provider {
  readonly isEntresol: true;
  /** Whether requests can be answered at all. */
  isConnected(): boolean;
  once<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): EntresolProvider;
  off<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): EntresolProvider;
  /** The granted solutions and their actions: a new object whenever the grants change. */
  readonly layer2: Layer2;
}

/** EIP-6963: who a wallet says it is. Any extension can say anything here. */
export interface WalletInfo {
  readonly uuid: string;
  readonly name: string;
  readonly icon: string;
  readonly rdns: string;
}

/** EIP-6963: a wallet's announcement. */
export interface AnnouncedWallet<P = Provider> {
  readonly info: WalletInfo;
  readonly provider: P;
}

/** The name by which Entresol announces itself. */
export const RDNS: "example.entresol";

/** Where to look, and how long. */
export interface DiscoverOptions {
  /** Longest wait in milliseconds for a wallet that is not there yet; 1000 unless told. */
  readonly timeoutMs?: number;
  /** Where wallets announce themselves; the window unless told. */
  readonly target?: EventTarget;
}

/** The Entresol wallet on this page, or `undefined` when none announces itself in time. */
export function discover(options?: DiscoverOptions): Promise<AnnouncedWallet<EntresolProvider> | undefined>;

/**
 * Tells of every wallet on this page, each once, those that come later too.
 *
 * @returns ends it
 */
export function watchWallets(listener: (wallet: AnnouncedWallet) => void, target?: EventTarget): () => void;

/**
 * The actions of a solution, asking the user for whatever this origin has not been granted yet.
 *
 * Rejects with 4001 when the user says no, and with the wallet's own error when there is no such solution.
 */
export function requestLayer2<N extends SolutionName>(
  provider: EntresolProvider,
  wanted: Layer2Request<N>,
): Promise<Solution<N>>;

/**
 * Tells a solution's state now, and after every change of it.
 *
 * @returns ends it
 */
export function watchState<N extends SolutionName>(
  provider: EntresolProvider,
  solution: N,
  listener: (state: State<N>) => void,
): Promise<() => void>;
