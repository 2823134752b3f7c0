// The payments layer 2 in the wallet: signs messages with its own accounts, talks to one node or to several over WebSocket, checks
// what they say about its accounts against layer 1, watches that the operator keeps its promises, and leaves layer 2 through the
// gateway contract.
//
// The dials: networking = node | nodes (all URLs, compared), state = light (own leaves proven against layer 1; the operator is
// watched) | node (its word), history = own (receipts, last proof) | node.
//
// Order of things that must survive a crash: a message is signed, then written to the local database, then sent. What was
// written and not acknowledged is sent again after every start and every reconnect; the node takes a message it knows again.
//
// One file, because a plugin's main is one module and this one has no build step: the protocol, what is judged from it, the nodes,
// the plugin (hooks, actions, paying, leaving, accounts, what nodes say, watching, published state), the screen, in this order.
//
// Rules of the protocol stand in the `payments-protocol` crate; `vectors/messages.json` and `vectors/tree.json` there hold this file too.

/** @typedef {{ index: number, address: string, publicKey: Uint8Array }} WalletAccount */
/** @typedef {{ kind: "payment" | "withdraw", from: string, to: string, value: string, fee: string, nonce: string, prev: string }} Message */
/**
 * What was signed and may have left this wallet.
 * @typedef {{
 *   key: string, reference: string, index: number, messageId: string, message: Message, signature: string, createdAt: number,
 *   stage: "signed" | "refused" | "soft" | "sequenced" | "final" | "superseded", error?: string, receipt?: any,
 *   promisedAt?: number }} Outgoing
 */

const ZERO_ADDRESS = "0x" + "0".repeat(40);
const ZERO_WORD = "0x" + "0".repeat(64);
/** Largest value of a record: 12 bytes of wei. */
const MAX_VALUE = (1n << 96n) - 1n;
/** What a payment pays the operator. This operator asks for nothing; the field exists in every message. */
const FEE = 0n;
/** A node that is silent for longer is down. */
const ANSWER_MS = 15_000;
const PROBE_MS = 10_000;
const FIRST_RETRY_MS = 500, LAST_RETRY_MS = 15_000;
/** How long a withdrawal that was sent to layer 1 keeps payments of its account back, unless the node has seen it before. */
const POSTED_MS = 120_000;
/** Entries of a list in the published state; the whole state has a size limit. */
const SHOWN = 100;
/** Settled messages with their receipts kept in the database, 1 to 2 KiB each, by the history dial. A few stay in any case: an
 * idempotency id must not pay twice. */
const KEPT = { own: 2_000, node: 100 };
/** Accounts in a row that were never used, after which a restore from the words looks no further (the usual limit of wallets). */
const GAP = 20;
/** How long two honest views of layer 1 may differ: a block, and the time to read it. */
const LAG_MS = 15_000, LAG_LOCAL_MS = 4_000;
/** A promise that is not in a batch after this part of FORCE (and at most an hour) is late: FORCE bounds what layer 1 forces. */
const PATIENCE_OF_FORCE = 24, MOST_PATIENCE_MS = 3_600_000;
/** Receipts that are looked up again at each refresh. */
const RECEIPTS_CHECKED = 8;
/** Alerts of nodes that are shown. */
const TOLD = 5;
/** Gas of `requestExit()`, measured 78 153, with room; and how many times its price now a layer-2 account is given. */
const EXIT_GAS = 120_000n, EXIT_PRICE_ROOM = 4n;
const FUNDED_MS = 180_000;
/** Below these a gateway gives less time than the reference design asks for; local chains are exempt. */
const MIN_CHALLENGE = 7n * 86_400n, MIN_FORCE = 86_400n, MIN_BOND = 2_400_000_000_000_000_000n;
const LOCAL_CHAINS = [1337, 31337];

const code = {
  DISCONNECTED: 4900, WRONG_CHAIN: 4901, INVALID: -32602, NOT_FOUND: -32001, REJECTED: -32003,
  // The node's own, see its documentation.
  NODE_WRONG_NONCE: -32011, NODE_WRONG_PREV: -32013, NODE_NOT_OPERATOR: -32015, NODE_BUSY: -32017, NODE_SYNCING: -32018,
  NO_METHOD: -32601,
};

/** An error as JSON-RPC callers see it. */
class PaymentsError extends Error {
  /** @param {number} number @param {string} message @param {any} [data] */
  constructor(number, message, data) {
    super(message);
    this.code = number;
    if (data !== undefined) this.data = data;
  }
}

// ---- the protocol: hashes, typed data, proofs --------------------------------------------------------------------

/** @param {Uint8Array} bytes */
const toHex = (bytes) => "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
/** keccak256 of a UTF-8 text or of 0x-hex. @param {string} data @returns {string} */
const keccak = (data) => toHex(crypto.eth.keccak256(data));
/** One ABI word, without 0x. @param {bigint | number | string} value a number, an address or 32 bytes */
const word = (value) =>
  (typeof value === "string" && value.startsWith("0x") ? value.slice(2).toLowerCase() : BigInt(value).toString(16)).padStart(64, "0");
/** @param {(bigint | number | string)[]} values */
const abi = (...values) => "0x" + values.map(word).join("");
/** First four bytes of a function's hash. @param {string} signature */
const selector = (signature) => keccak(signature).slice(0, 10);
/** @param {string} a @param {string} b */
const same = (a, b) => a.toLowerCase() === b.toLowerCase();

const TYPES = {
  Payment: [["address", "from"], ["address", "to"], ["uint256", "value"], ["uint256", "fee"], ["uint64", "nonce"], ["bytes32", "prev"]],
  Withdraw: [["address", "from"], ["uint256", "value"], ["uint256", "fee"], ["uint64", "nonce"], ["bytes32", "prev"]],
  ClaimTo: [["address", "account"], ["address", "recipient"], ["uint256", "claimedBefore"], ["uint256", "claimedAfter"]],
  Receipt: [["bytes32", "messageId"], ["uint64", "sequence"], ["bytes32", "previousReceipt"], ["uint64", "time"]],
  ReceiptGroup: [["uint64", "first"], ["uint64", "count"], ["bytes32", "previousReceipt"], ["bytes32", "root"]],
};

/** EIP-712 statements of one gateway on one chain. */
export class Domain {
  /** @param {number} chainId @param {string} gateway */
  constructor(chainId, gateway) {
    this.chainId = chainId;
    this.gateway = gateway;
    this.separator = keccak(abi(
      keccak("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
      keccak("Entresol Payments"), keccak("1"), chainId, gateway));
  }

  /** Struct hash; of a Payment or Withdraw: its id. @param {keyof TYPES} type @param {Record<string, any>} fields */
  hash(type, fields) {
    const members = TYPES[type];
    const text = `${type}(${members.map(([kind, name]) => `${kind} ${name}`).join(",")})`;
    return keccak(abi(keccak(text), ...members.map(([kind, name]) => (kind.startsWith("uint") ? BigInt(fields[name]) : fields[name]))));
  }

  /** What is signed. @param {keyof TYPES} type @param {Record<string, any>} fields */
  digest(type, fields) {
    return keccak("0x1901" + this.separator.slice(2) + this.hash(type, fields).slice(2));
  }

  /** As EIP-712 JSON, for the wallet. @param {keyof TYPES} type @param {Record<string, any>} fields */
  typedData(type, fields) {
    const members = TYPES[type];
    return {
      types: {
        EIP712Domain: [
          { name: "name", type: "string" }, { name: "version", type: "string" },
          { name: "chainId", type: "uint256" }, { name: "verifyingContract", type: "address" }],
        [type]: members.map(([kind, name]) => ({ name, type: kind })),
      },
      primaryType: type,
      domain: { name: "Entresol Payments", version: "1", chainId: this.chainId, verifyingContract: this.gateway },
      message: Object.fromEntries(members.map(([, name]) => [name, String(fields[name])])),
    };
  }
}

/** @param {Message} message @returns {"Payment" | "Withdraw"} */
const typeOf = (message) => (message.kind === "payment" ? "Payment" : "Withdraw");

/** The `latestMessage` of `requestWithdrawPayment`: a signed Withdraw as seven words. @param {Message} message @param {string} signature */
export const encodePosted = (message, signature) => {
  const r = "0x" + signature.slice(2, 66), s = "0x" + signature.slice(66, 130), v = BigInt("0x" + signature.slice(130));
  return abi(BigInt(message.value), BigInt(message.fee), BigInt(message.nonce), message.prev, r, s, v);
};

/** @param {string} account @returns {bigint} its path in the tree of accounts, the highest of 160 bits first from the root */
const pathOf = (account) => BigInt(keccak(account.toLowerCase()).slice(0, 42));

/** Whether a value out of JSON has one spelling and one length in a hash. @param {RegExp} form @param {unknown} value */
const isOfForm = (form, value) => typeof value === "string" && form.test(value);
const isAddress = isOfForm.bind(null, /^0x[0-9a-f]{40}$/i), isWord = isOfForm.bind(null, /^0x[0-9a-f]{64}$/i), isNumber = isOfForm.bind(null, /^[0-9]{1,39}$/);

const EMPTY_LEAF = { balance: "0", withdrawn: "0", nonce: "0", head: ZERO_WORD };

/**
 * What an account has by a witness that leads to the root: its own leaf, or nothing where the path ends at nothing or at a neighbour's.
 * @param {string} account @param {any} witness as `l2_getAccount` gives it @returns {any}
 */
export const leafOf = (account, witness) => (isAddress(witness?.account) && same(account, witness.account) ? witness : EMPTY_LEAF);

/**
 * The root to which a witness of an account leads, in the sparse Merkle tree keyed by the hashed address: a subtree with one
 * leaf is that leaf, so a path is as long as it takes to part it from all others. Null if the leaf at its end cannot lie there.
 *
 * A witness is a node's word, so its every part must have its one length. An address with zeros before it hashes to the same leaf and has
 * another path: the account's own leaf would pass for a neighbour's, and prove that it has nothing. So would four words for a sibling.
 * @param {string} account @param {any} witness as `l2_getAccount` gives it
 */
export const rootOf = (account, witness) => {
  const { account: owner, balance, withdrawn, nonce, head, siblings } = witness ?? {};
  if (!isAddress(owner) || ![balance, withdrawn, nonce].every(isNumber) || !isWord(head)) return null;
  if (!Array.isArray(siblings) || siblings.length > 160 || !siblings.every(isWord)) return null;
  const fields = [balance, withdrawn, nonce].map(BigInt);
  const empty = fields.every((field) => field === 0n) && head === ZERO_WORD;
  const above = BigInt(160 - siblings.length);
  let path = pathOf(account) >> above;
  // Another's leaf proves that the account has none, where both paths lead.
  if (!empty && pathOf(owner) >> above !== path) return null;
  let node = empty ? ZERO_WORD : keccak(abi(owner, ...fields, head));
  for (const sibling of siblings) {
    node = keccak("0x" + (path & 1n ? sibling.slice(2) + node.slice(2) : node.slice(2) + sibling.slice(2)));
    path >>= 1n;
  }
  return node;
};

// ---- what is judged from it: no I/O here -------------------------------------------------------------------------

const LEAF_FIELDS = ["balance", "withdrawn", "nonce", "head"];
/** Of an inbox item. */
const FORCED_EXIT = 2, POSTED_WITHDRAW = 3;

/** The head that an inbox item leaves in its account's leaf; null for a deposit. @param {Domain} domain @param {any} item as the event InboxItem names it */
export const headOfItem = (domain, item) => {
  if (Number(item.kind) === POSTED_WITHDRAW) return item.messageId.toLowerCase();
  if (Number(item.kind) !== FORCED_EXIT) return null;
  const hash = keccak(abi(item.index, item.kind, item.who, item.value, item.fee, item.time, item.messageId, item.depositor));
  return keccak(abi(domain.gateway, domain.chainId, item.index, hash));
};

/**
 * Which of the wallet's own messages a leaf says took effect: walks from its head along `prev`. Of every nonce from `from` up to the
 * leaf's own it is known; of older ones it is not.
 * @param {{ nonce: string, head: string }} leaf @param {Map<string, Message>} own by id, in lower case
 * @returns {{ ids: Set<string>, from: bigint, nonce: bigint }}
 */
export const effectiveIn = (leaf, own) => {
  const ids = new Set();
  let from = BigInt(leaf.nonce);
  for (let head = leaf.head.toLowerCase(); ;) {
    const message = own.get(head);
    if (!message || BigInt(message.nonce) + 1n !== from) return { ids, from, nonce: BigInt(leaf.nonce) };
    ids.add(head);
    from -= 1n;
    head = message.prev.toLowerCase();
  }
};

/** What a leaf says of one message: took effect, can never, not yet (its nonce fits still), or unknown. @param {ReturnType<typeof effectiveIn>} effects @param {string} id @param {Message} message */
export const fateOf = (effects, id, message) => {
  const nonce = BigInt(message.nonce);
  if (effects.ids.has(id.toLowerCase())) return "effective";
  if (nonce >= effects.nonce) return "pending";
  return nonce >= effects.from ? "superseded" : "unknown";
};

/** Most receipts under one signature. */
const MAX_GROUP = 4096n;

/**
 * The group of receipts in which the operator signed this one, or null when it is not in it. The count fixes the shape of the tree: the
 * receipt's place in it says which levels have a sibling and on which side, so one sequence number has one receipt.
 * @param {Domain} domain @param {any} receipt
 */
export const groupOf = (domain, receipt) => {
  const { first, count, previousReceipt, path } = receipt.group;
  let width = BigInt(count), place = BigInt(receipt.sequence) - BigInt(first), used = 0;
  if (width < 1n || width > MAX_GROUP || place < 0n || place >= width || !Array.isArray(path)) return null;
  if (place === 0n && word(receipt.previousReceipt) !== word(previousReceipt)) return null;
  let node = domain.hash("Receipt", receipt);
  for (; width > 1n; place >>= 1n, width = (width + 1n) >> 1n) {
    // A last node without partner rises as it is.
    if ((place ^ 1n) >= width) continue;
    const sibling = path[used++];
    if (!/^0x[0-9a-f]{64}$/i.test(sibling)) return null;
    node = keccak("0x01" + (place & 1n ? sibling.slice(2) + node.slice(2) : node.slice(2) + sibling.slice(2)));
  }
  return used === path.length ? { first, count, previousReceipt, root: node } : null;
};

/** Whether the operator signed this receipt: in a group, or, as before there were groups, alone. @param {Domain} domain @param {string} operator @param {any} receipt */
export const isSigned = (domain, operator, receipt) => {
  try {
    const group = receipt.group ? groupOf(domain, receipt) : null;
    if (receipt.group && !group) return false;
    const digest = group ? domain.digest("ReceiptGroup", group) : domain.digest("Receipt", receipt);
    return same(crypto.eth.recover(digest, receipt.signature), operator);
  } catch { return false; }
};

/**
 * Whether two receipts of the operator contradict each other: two promises in one place, or a promise that does not stand on the one
 * before it. Only what is signed counts, not how a node spells it, so a node cannot accuse an honest operator.
 * @param {Domain} domain @param {string} operator @param {any} one @param {any} other
 */
export const contradicts = (domain, operator, one, other) => {
  try {
    const [a, b] = BigInt(one.sequence) <= BigInt(other.sequence) ? [one, other] : [other, one];
    const hash = domain.hash("Receipt", a);
    const apart = BigInt(b.sequence) - BigInt(a.sequence);
    const clash = apart === 0n ? hash !== domain.hash("Receipt", b) : apart === 1n && word(b.previousReceipt) !== word(hash);
    return clash && isSigned(domain, operator, a) && isSigned(domain, operator, b);
  } catch { return false; }
};

/** Names of the fields in which two nodes' answers about an account at one batch differ. @param {any} one @param {any} other */
export const differences = (one, other) =>
  one.batch !== other.batch ? [] : [...LEAF_FIELDS, "root", "commitment"].filter((name) => !same(String(one[name]), String(other[name])));

/** Wei in ETH, as people write it. @param {bigint | string} wei */
export const inEther = (wei) => {
  const digits = BigInt(wei).toString().padStart(19, "0");
  const fraction = digits.slice(-18).replace(/0+$/, "");
  return `${digits.slice(0, -18)}${fraction && "."}${fraction} ETH`;
};

/** Seconds in words, roughly. @param {bigint | number} seconds */
const inWords = (seconds) => {
  const n = Number(seconds);
  const [count, unit] = n >= 172_800 ? [n / 86_400, "days"] : n >= 7_200 ? [n / 3_600, "hours"] : n >= 120 ? [n / 60, "minutes"] : [n, "seconds"];
  return `${Math.round(count)} ${unit}`;
};

// ---- the nodes ---------------------------------------------------------------------------------------------------

/** JSON-RPC over one WebSocket, kept open: reconnects by itself, tries the next URL after a failure. */
class NodeConnection {
  /**
   * @param {any} network @param {string[]} urls
   * @param {{ onOpen(link: NodeConnection): Promise<void>, onUp(link: NodeConnection): void, onDown(link: NodeConnection): void, onNotice(link: NodeConnection, topic: string, body: any): void }} events
   *   `onOpen` is part of connecting: while it fails the node counts as down
   */
  constructor(network, urls, events) {
    this.network = network;
    this.urls = urls;
    this.events = events;
    this.url = urls[0] ?? "";
    /** Which URL is next: another one after each failure. */
    this.turn = 0;
    /** As the node says: only an operator takes messages. */
    this.role = "";
    /** Of the method that newer nodes have. */
    this.givesReceipts = true;
    this.closed = false;
    this.error = "not connected yet";
    this.connected = false;
    this.socket = null;
    this.attempts = 0;
    this.nextId = 1;
    /** @type {Map<number, { yes(value: any): void, no(error: any): void, timer: any }>} */
    this.waiting = new Map();
    this.retry = null;
    /** @type {Promise<void> | null} */
    this.opening = null;
    /** Texts leave one after another: the host bounds the requests under way. @type {Promise<void>} */
    this.sending = Promise.resolve();
  }

  /** Connected, or an attempt is made now and has succeeded. Throws 4900. */
  async ready() {
    if (!this.connected) await this.open();
    if (!this.connected) throw new PaymentsError(code.DISCONNECTED, `the payments node is down (${this.error}); try again later`);
  }

  /** One attempt; never throws. */
  open() {
    this.opening ??= this.#open().finally(() => { this.opening = null; });
    return this.opening;
  }

  async #open() {
    if (this.connected || this.closed) return;
    clearTimeout(this.retry);
    const { urls } = this;
    let socket = null;
    try {
      if (urls.length === 0) throw new Error("the solution has no network URL; add it again with one");
      this.url = urls[this.turn % urls.length];
      socket = await this.network.connect(this.url);
      if (this.closed) return void Promise.resolve(socket.close()).catch(() => {});
      this.socket = socket;
      await this.events.onOpen(this);
      // Lost while onOpen worked: that was dealt with already.
      if (this.socket !== socket) return;
      this.connected = true;
      this.attempts = 0;
      this.error = "";
      this.events.onUp(this);
    } catch (error) {
      if (this.socket === socket) this.#down(messageOf(error));
    }
  }

  /** The node told something that is proven false: another one is asked for a while. @param {string} why */
  leave(why) {
    this.attempts = Math.max(this.attempts, 5);
    this.#down(why);
  }

  /** For good. */
  close() {
    this.closed = true;
    this.#down("the dial was moved");
    clearTimeout(this.retry);
  }

  /** @param {string} why */
  #down(why) {
    const { socket } = this;
    this.socket = null;
    this.connected = false;
    this.error = why;
    if (socket) Promise.resolve(socket.close()).catch(() => {});
    for (const [id, { no, timer }] of this.waiting) {
      clearTimeout(timer);
      this.waiting.delete(id);
      no(new PaymentsError(code.DISCONNECTED, `the payments node is down (${why}); try again later`));
    }
    clearTimeout(this.retry);
    const pause = Math.min(FIRST_RETRY_MS * 2 ** this.attempts, LAST_RETRY_MS);
    this.attempts++;
    this.turn++;
    this.retry = setTimeout(() => void this.open(), pause);
    if (!this.closed) this.events.onDown(this);
  }

  /** @param {string} method @param {any} params @returns {Promise<any>} */
  call(method, params = []) {
    const { socket } = this;
    if (!socket) return Promise.reject(new PaymentsError(code.DISCONNECTED, `the payments node is down (${this.error}); try again later`));
    const id = this.nextId++;
    return new Promise((yes, no) => {
      const timer = setTimeout(() => { if (this.socket === socket) this.#down(`no answer to ${method} in ${ANSWER_MS / 1000} s`); }, ANSWER_MS);
      this.waiting.set(id, { yes, no, timer });
      const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
      this.sending = this.sending.then(() => (this.socket === socket ? socket.send(text) : undefined))
        .catch((/** @type {any} */ error) => { if (this.socket === socket) this.#down(messageOf(error)); });
    });
  }

  /** The host's `onNetworkMessage`. Must not wait for another message: the host delivers one at a time. @param {any} message */
  receive(message) {
    if (!this.socket || message.connection !== this.socket.id) return;
    if (message.closed) return this.#down(message.reason);
    let answer = null;
    try { answer = JSON.parse(message.text); } catch { /* below */ }
    if (answer === null || typeof answer !== "object") return this.#down("it sends something that is not JSON-RPC");
    if (answer.method === "l2_subscription") return this.events.onNotice(this, answer.params?.topic, answer.params?.result);
    const waiter = this.waiting.get(answer.id);
    if (!waiter) return;
    clearTimeout(waiter.timer);
    this.waiting.delete(answer.id);
    if (answer.error) waiter.no(new PaymentsError(answer.error.code, String(answer.error.message), answer.error.data));
    else waiter.yes(answer.result);
  }
}

/** @param {any} error */
const messageOf = (error) => (error && typeof error.message === "string" ? error.message : String(error));

// ---- the plugin --------------------------------------------------------------------------------------------------

export default class Payments {
  /** @param {{ wallet: any, layer1: any, network: any, solution: any }} host */
  constructor({ wallet, layer1, network }) {
    this.wallet = wallet;
    this.layer1 = layer1;
    this.network = network;
    // Set by onStart: the interface is read without a gateway.
    this.domain = /** @type {Domain} */ (/** @type {any} */ (null));
    /** @type {WalletAccount[]} */
    this.accounts = [];
    this.dials = { networking: "node", state: "light", history: "own" };
    /** The accounts of these keys were looked for: a database that was lost has been made good. */
    this.searched = false;
    /** @type {Promise<void> | null} */
    this.searching = null;
    /** What the node last said of each account, by address. @type {Map<string, any>} */
    this.leaves = new Map();
    /** The same at the newest final batch, proven, by address. @type {Map<string, any>} */
    this.finals = new Map();
    /** The newest effect of each account's that this wallet knows to be its own, by address. @type {Map<string, { nonce: string, head: string }>} */
    this.heads = new Map();
    /** Heads that requests on layer 1 leave. @type {Map<string, any>} */
    this.items = new Map();
    /** What the user should look at, by what it is about. @type {Map<string, any>} */
    this.alarms = new Map();
    /** Since when something looks wrong that may yet turn out to be a delay. @type {Map<string, number>} */
    this.doubts = new Map();
    /** Receipts of the operator by sequence, of one's own messages. @type {Map<string, any>} */
    this.receipts = new Map();
    /** Nodes that told something false in this round, by URL. @type {Set<string>} */
    this.lies = new Set();
    /** What nodes have told as alerts, newest first: their words. @type {any[]} */
    this.told = [];
    /** What nodes say is promised to each account and in no batch yet, by address. @type {Map<string, any[]>} */
    this.promised = new Map();
    /** Own messages by id, made when asked for. @type {Map<string, Message> | null} */
    this.owned = null;
    /** The accounts as they were published before this start. @type {any[]} */
    this.before = [];
    this.calls = false;
    /** The number of the screen that shows the alarms. @type {number | null} */
    this.screen = null;
    this.drawing = false;
    this.redraw = false;
    /** What the screen says about leaving. */
    this.progress = "";
    this.busy = false;
    this.silentSince = Date.now();
    this.now = 0n;
    this.standing = 0n;
    this.overdueAt = 0n;
    this.inboxCursor = 0n;
    this.challenge = 0n;
    this.force = 0n;
    /** Accounts whose leaf is followed without a gap: a payment may be signed on it without asking again. @type {Set<string>} */
    this.current = new Set();
    /** Messages that the node took, by address of the sender. @type {Map<string, number>} */
    this.taken = new Map();
    /** What happened to each account in standing batches. @type {Map<string, { cursor: string, entries: any[] }>} */
    this.history = new Map();
    /** @type {Map<string, Outgoing>} by key of the database */
    this.outbox = new Map();
    /** Withdrawal requests made here, by key of the database. @type {Map<string, any>} */
    this.requests = new Map();
    /** Calls that run, by key. @type {Map<string, Promise<any>>} */
    this.running = new Map();
    /** The last piece of work on each account. @type {Map<string, Promise<any>>} */
    this.queues = new Map();
    /** Accounts whose withdrawal waits for the user, or for layer 1: a payment would make it stale. @type {Map<string, { nonce: bigint, until: number }>} */
    this.leaving = new Map();
    /** Counts up whenever what was heard may not hold any more. */
    this.generation = 0;
    /** The generation of which everything was read; while it is an older one, the state published last stands. */
    this.whole = -1;
    this.finalBatch = 0n;
    this.halted = false;
    this.warning = "";
    this.operator = "";
    this.refreshing = false;
    this.stale = false;
    /** Someone before this start has published what the node said. */
    this.published = false;
    this.publishing = false;
    this.unpublished = false;
    /** One connection that changes its URL after a failure, or one for each URL. @type {NodeConnection[]} */
    this.links = [];
    this.#link();
    this.layer2Interface = {
      actions: [
        {
          name: "makePayment", call: this.makePayment.bind(this), description: "Pay someone on this layer 2",
          params: [
            { name: "toAddress", type: "address", role: "recipient" },
            { name: "value", type: "uint", role: "amount", unit: "wei" }],
          returns: [{ name: "messageId", type: "bytes32" }],
          confirmation: this.describePayment.bind(this),
        },
        {
          name: "requestWithdrawPayment", call: this.requestWithdrawPayment.bind(this),
          description: "Ask on layer 1 for everything that an account has here. latestMessage: its newest message as you know it, or empty.",
          params: [{ name: "fromAddress", type: "address" }, { name: "latestMessage", type: "string" }],
          returns: [{ name: "transaction", type: "bytes32" }],
        },
        {
          name: "claim", call: this.claim.bind(this), description: "Have what was withdrawn, and is final, paid to the owner on layer 1",
          params: [{ name: "fromAddress", type: "address" }],
          returns: [{ name: "transaction", type: "bytes32" }],
        },
        {
          name: "newAccount", call: this.newAccount.bind(this), description: "Make one more account on this layer 2",
          params: [], returns: [{ name: "account", type: "address" }],
        },
        {
          name: "leave", call: this.leave.bind(this),
          description: "Leave with everything an account has here, without the operator: asks the gateway on layer 1 from the account itself",
          params: [{ name: "fromAddress", type: "address" }],
          returns: [{ name: "transaction", type: "bytes32" }],
        },
      ],
      state: [
        { name: "balance", type: "uint", unit: "wei", role: "balance" },
        { name: "accounts", type: "(uint256,address,uint256,uint256,uint256,uint256,bytes32,string)[]" },
        { name: "payments", type: "(string,string,address,address,uint256,bytes32,string)[]" },
        { name: "withdrawals", type: "(address,uint256,bytes32,bytes32,string)[]" },
        { name: "node", type: "(bool,string)" },
        { name: "alerts", type: "(string,string,string,string)[]" },
      ],
    };
  }

  get light() {
    return this.dials.state === "light";
  }

  /** Connections that are up, in the order in which they are asked: the operator, who alone knows what is promised, before the others; who was
   * proven to lie, last. */
  get up() {
    const rank = (/** @type {NodeConnection} */ { role, url }) => (this.alarms.has(`false-proof/${url}`) ? 2 : role === "operator" ? 0 : 1);
    return this.links.filter(({ connected }) => connected).sort((a, b) => rank(a) - rank(b));
  }

  get node() {
    return this.up[0] ?? this.links[0];
  }

  /** (Re)builds the connections as the networking dial stands. */
  #link() {
    for (const link of this.links) link.close();
    const events = {
      onOpen: (/** @type {NodeConnection} */ link) => this.#onOpen(link),
      onUp: () => this.#onUp(),
      onDown: () => this.#onDown(),
      onNotice: (/** @type {NodeConnection} */ link, /** @type {string} */ topic, /** @type {any} */ body) => this.#onNotice(link, topic, body),
    };
    const { urls } = this.network;
    const groups = this.dials.networking === "nodes" && urls.length > 1 ? urls.map((/** @type {string} */ url) => [url]) : [urls];
    this.links = groups.map((/** @type {string[]} */ group) => new NodeConnection(this.network, group, events));
  }

  /** Connected to some node, or an attempt is made now and has succeeded. Throws 4900. */
  async #ready() {
    if (!this.node.connected) await Promise.all(this.links.map((link) => link.open()));
    await this.node.ready();
  }

  // ---- hooks ----

  /** @param {{ dials?: any }} start */
  async onStart({ dials }) {
    const { gateway } = this.layer1.contracts;
    if (!gateway) throw new PaymentsError(code.INVALID, "payments needs the address of its gateway contract; add the solution again with one");
    this.domain = new Domain(Number(this.layer1.networkId), gateway);
    if (dials) {
      this.dials = { ...this.dials, ...dials };
      this.#link();
    }
    const db = this.wallet;
    this.accounts = (await db.getFromLocalDb("accounts")) ?? [await this.wallet.getAccount(0)];
    this.searched = (await db.getFromLocalDb("searched")) === true;
    for (const key of await db.listLocalDb("outbox/")) this.#remember(await db.getFromLocalDb(key));
    for (const key of await db.listLocalDb("withdrawal/")) this.requests.set(key, await db.getFromLocalDb(key));
    for (const key of await db.listLocalDb("item/")) this.items.set(key, await db.getFromLocalDb(key));
    for (const { address } of this.accounts) {
      const head = await db.getFromLocalDb(`head/${address}`);
      if (head !== null) this.heads.set(address, head);
    }
    this.before = (await this.wallet.getLayer2State())?.accounts ?? [];
    this.published = this.before.length > 0;
    await this.#publish();
    for (const key of await db.listLocalDb("evidence/")) this.#raiseEquivocation(await db.getFromLocalDb(key));
    // The node may be down: that is a state, not a failed start.
    for (const link of this.links) void link.open();
    this.#probe();
  }

  /** The user moved networking, state or history. @param {any} dials */
  async onDialsChanged(dials) {
    const before = this.dials;
    this.dials = { ...before, ...dials };
    this.doubts.clear();
    // Evidence of two promises in one place stays: it is no matter of belief.
    for (const [key, { kind }] of this.alarms) if (kind !== "equivocation") this.alarms.delete(key);
    if (before.networking !== this.dials.networking) {
      this.#link();
      this.silentSince = Date.now();
      for (const link of this.links) void link.open();
    }
    if (this.dials.history === "node") for (const key of await this.wallet.listLocalDb("proof/")) await this.wallet.deleteFromLocalDb(key);
    this.finals.clear();
    this.#startOver();
    this.#drawSoon();
    this.#publishSoon();
    this.#refreshSoon();
  }

  /** @param {any} message */
  onNetworkMessage(message) {
    for (const link of this.links) link.receive(message);
  }

  /** The gateway told something: the node will know more. @param {any} event */
  async onGatewayEvent({ event, args, removed }) {
    if (event === "InboxItem" && this.accounts.some(({ address }) => same(address, args.who))) {
      const head = headOfItem(this.domain, args);
      const key = `item/${head}`;
      if (head !== null && removed) {
        this.items.delete(key);
        await this.wallet.deleteFromLocalDb(key);
      } else if (head !== null) {
        const item = { key, head, index: String(args.index), kind: Number(args.kind), account: args.who, time: String(args.time) };
        await this.wallet.persist(key, item);
        this.items.set(key, item);
      }
    }
    this.#refreshSoon();
  }

  /** @param {{ reorgDepth: number, timestamp: number }} block */
  onBlock({ reorgDepth, timestamp }) {
    this.now = BigInt(timestamp ?? 0);
    if (!(reorgDepth > 0)) return;
    // What was proven, was proven on another fork.
    for (const leaf of this.leaves.values()) leaf.verified = false;
    this.finals.clear();
    this.#startOver();
    this.#refreshSoon();
  }

  /** What was heard so far may not hold any more. */
  #startOver() {
    this.history.clear();
    this.current.clear();
    this.generation++;
  }

  async getLayer2State() {
    if (this.node.connected) await this.#refresh();
    return this.#state();
  }

  /** A button of the screen. What it starts may wait for the user, so nobody waits for it. @param {{ screen: number, type: string, button?: string }} input */
  onUserInput({ screen, type, button = "" }) {
    if (screen !== this.screen) return;
    if (type === "close") return void (this.screen = null);
    if (type !== "press") return;
    const [what, index] = button.split("-");
    if (what === "later") return void this.#closeScreen();
    if (what === "mine") return void this.#adoptHead(Number(index));
    if (what === "leave") return void this.#work(() => this.#leaveAll());
    if (what === "halt") return void this.#work(() => this.#halt());
    if (what === "claim") return void this.#work(() => this.#claimAll());
  }

  // ---- actions ----

  /** @param {{ toAddress: string, value: bigint }} params */
  describePayment({ toAddress, value }) {
    return [{ label: "To", value: toAddress }, { label: "Amount", value: `${value} wei` }, { label: "Operator's fee", value: `${FEE} wei` }];
  }

  /** @param {{ toAddress: string, value: bigint }} params @param {any} context @returns {Promise<string>} the message's id */
  makePayment({ toAddress, value }, context) {
    const key = outboxKey(context);
    return this.#once(key, async () => {
      if (same(toAddress, ZERO_ADDRESS)) throw new PaymentsError(code.INVALID, "a payment needs a recipient; to leave this layer 2 call requestWithdrawPayment");
      if (value > MAX_VALUE) throw new PaymentsError(code.INVALID, `the value ${value} wei is above 2^96 - 1`);
      const known = key === null ? undefined : this.outbox.get(key);
      if (known) return this.#again(known, toAddress, value);
      await this.#ready();
      const account = await this.#payer(value);
      return this.#inTurn(account.address, async () => {
        await this.#resend(account.address);
        return this.#pay(account, toAddress, value, key, String(context?.id ?? ""));
      });
    });
  }

  /** @param {{ fromAddress: string, latestMessage: string }} params @param {any} context @returns {Promise<string>} the transaction */
  requestWithdrawPayment({ fromAddress, latestMessage }, context) {
    const account = this.#account(fromAddress);
    const callKey = outboxKey(context);
    const key = callKey === null ? null : callKey.replace("outbox/", "withdrawal/");
    return this.#once(key, async () => {
      const known = key === null ? undefined : this.requests.get(key);
      if (known?.transaction) return known.transaction;
      await this.#ready();
      if (this.#isLeaving(account.address)) throw new PaymentsError(code.REJECTED, "a withdrawal of this account waits already, for your approval or for layer 1");
      this.leaving.set(account.address, { nonce: -1n, until: Infinity });
      let posted = null;
      try {
        const request = await this.#inTurn(account.address, () => this.#signWithdrawal(account, latestMessage, key));
        const { transaction } = await this.wallet.withdraw({
          function: "requestWithdrawPayment",
          args: [account.address, encodePosted(request.message, request.signature)],
        });
        posted = { nonce: BigInt(request.message.nonce), until: Date.now() + POSTED_MS };
        await this.#saveRequest({ ...request, transaction });
        return transaction;
      } finally {
        if (posted) this.leaving.set(account.address, posted);
        else this.leaving.delete(account.address);
        this.#refreshSoon();
      }
    });
  }

  /** @param {{ fromAddress: string }} params @returns {Promise<string>} the transaction */
  async claim({ fromAddress }) {
    const account = this.#account(fromAddress);
    const before = await this.#claimedOnLayer1(account.address);
    const exit = await this.#exitProof(account);
    const after = BigInt(exit.claimedAfter);
    if (after <= before) {
      const maturing = BigInt(exit.maturing ?? 0);
      throw new PaymentsError(code.REJECTED, maturing > 0n
        ? `nothing can be claimed yet: ${maturing} wei are withdrawn in a batch whose challenge window is still open`
        : "nothing is withdrawn that was not claimed; call requestWithdrawPayment first", { maturing });
    }
    const recipient = this.layer1.ownerAddress;
    const fields = { account: account.address, recipient, claimedBefore: before, claimedAfter: after };
    const signature = await this.#sign(account, "ClaimTo", fields);
    const { proof } = exit;
    const witness = [proof.account, proof.balance, proof.withdrawn, proof.nonce, proof.head, proof.siblings];
    const { transaction } = await this.wallet.withdraw({ function: "claim", args: [exit.batch, witness, recipient, signature] });
    this.#refreshSoon();
    return transaction;
  }

  /**
   * The proof to claim with: from the node, or one that was kept. In position light what the node gives is proven before the wallet is
   * asked to pay a fee for it, and a batch whose window layer 1 shows to be over is claimed from although the node does not say so yet.
   * @param {WalletAccount} account
   */
  async #exitProof(account) {
    let told = null, why;
    try {
      await this.#ready();
      const exit = await this.node.call("l2_getExitProof", [account.address]);
      if (!this.light) return exit;
      if (await this.#proves(account, exit.proof, exit.batch)) told = exit;
      else why = new PaymentsError(code.REJECTED, `the node's proof for ${account.address} does not fit layer 1: do not trust this node`);
      await this.#look();
      await this.#keepProofs(account);
    } catch (error) { why ??= error; }
    const kept = await this.#keptProof(account);
    if (kept !== null && (told === null || BigInt(kept.claimedAfter) > BigInt(told.claimedAfter))) return kept;
    if (told === null) throw why;
    return told;
  }

  /** What was proven before and can be claimed without any node; null if nothing. @param {WalletAccount} account */
  async #keptProof(account) {
    const { address } = account;
    const halted = BigInt(await this.#view("halted()")) !== 0n;
    const last = halted ? String(BigInt(await this.#view("nextId()")) - 1n) : "";
    const candidates = [this.finals.get(address)];
    for (const name of ["final", "newest"]) candidates.push(await this.wallet.getFromLocalDb(`proof/${name}/${address}`));
    for (const kept of candidates) {
      if (!kept?.proof) continue;
      // After a halt the gateway pays from the last standing batch only, and what was not withdrawn as well.
      if (halted ? String(kept.batch) !== last : BigInt(kept.batch) > this.finalBatch) continue;
      if (!(await this.#proves(account, kept.proof, kept.batch))) continue;
      const { balance, withdrawn } = leafOf(address, kept.proof);
      return { batch: kept.batch, proof: kept.proof, claimedAfter: String(BigInt(withdrawn) + (halted ? BigInt(balance) : 0n)) };
    }
    return null;
  }

  /** Asks the gateway for everything that the account has, from the account's own key: no node and no operator is needed. @param {{ fromAddress: string }} params @returns {Promise<string>} the transaction */
  leave({ fromAddress }) {
    return this.#forceExit(this.#account(fromAddress));
  }

  /** @returns {Promise<string>} its address */
  async newAccount() {
    if (this.node.connected) await this.#search();
    const last = Math.max(...this.accounts.map(({ index }) => index));
    const empty = this.accounts.slice(-GAP).every(({ address }) => this.leaves.has(address) && !isUsed(this.leaves.get(address)));
    if (this.accounts.length >= GAP && empty) {
      throw new PaymentsError(code.REJECTED, `the last ${GAP} accounts were never used; use one of them: a restore from your words looks no further than ${GAP} unused ones`);
    }
    const account = await this.wallet.getAccount(last + 1);
    await this.#keepAccounts([...this.accounts, account]);
    return account.address;
  }

  // ---- paying ----

  /** A call with a known idempotency id. @param {Outgoing} known @param {string} to @param {bigint} value */
  async #again(known, to, value) {
    const { message } = known;
    if (!same(message.to, to) || BigInt(message.value) !== value) {
      throw new PaymentsError(code.INVALID, `the id ${known.reference} was used for another payment; choose a new one`);
    }
    if (known.stage === "refused") {
      await this.#ready();
      const account = this.#account(message.from);
      return this.#inTurn(message.from, async () => {
        if (await this.#tookEffect(known)) return known.messageId;
        return this.#pay(account, to, value, known.key, known.reference);
      });
    }
    if (known.stage === "superseded") throw new PaymentsError(code.REJECTED, "another message of this account took this payment's place; it had no effect");
    return known.messageId;
  }

  /** @param {bigint} value @returns {Promise<WalletAccount>} the first account that can pay it */
  async #payer(value) {
    const free = this.accounts.filter(({ address }) => !this.#isLeaving(address));
    const leaving = free.length < this.accounts.length;
    const balance = (/** @type {any} */ leaf) => BigInt(leaf?.pending.balance ?? 0);
    // What was heard last will do; #pay asks again before it signs.
    const rich = free.find(({ address }) => balance(this.leaves.get(address)) >= value + FEE);
    if (rich) return rich;
    let most = 0n;
    for (const account of free) {
      const now = balance(await this.#leaf(account));
      if (now >= value + FEE) return account;
      if (now > most) most = now;
    }
    if (leaving) throw new PaymentsError(code.REJECTED, "the account that could pay has a withdrawal under way; decide it, or wait until it is served");
    throw new PaymentsError(code.REJECTED, `no account can pay ${value} wei; the most that one has is ${most} wei`, { balance: most });
  }

  /** @param {WalletAccount} account @param {string} to @param {bigint} value @param {string | null} key @param {string} reference */
  async #pay(account, to, value, key, reference) {
    for (let attempt = 0; ; attempt++) {
      if (this.alarms.has(`head/${account.address}`)) throw new PaymentsError(code.REJECTED, this.alarms.get(`head/${account.address}`).text);
      const known = this.current.has(account.address) ? this.leaves.get(account.address) : undefined;
      const enough = known && BigInt(known.pending.balance) >= value + FEE;
      const { pending } = enough ? known : await this.#leaf(account);
      if (BigInt(pending.balance) < value + FEE) {
        throw new PaymentsError(code.REJECTED, `${account.address} has ${pending.balance} wei, too little to pay ${value} wei`, { balance: BigInt(pending.balance) });
      }
      const message = /** @type {Message} */ ({
        kind: "payment", from: account.address, to, value: String(value), fee: String(FEE), nonce: pending.nonce, prev: pending.head,
      });
      const outgoing = await this.#signMessage(account, message, key, reference);
      try {
        await this.#send(outgoing);
        return outgoing.messageId;
      } catch (error) {
        const number = /** @type {any} */ (error).code;
        this.current.delete(account.address);
        // Written down and on its way: saying "failed" would make the caller pay twice.
        if (number === code.DISCONNECTED) return outgoing.messageId;
        if ((number !== code.NODE_WRONG_NONCE && number !== code.NODE_WRONG_PREV) || attempt === 2) throw error;
      }
    }
  }

  /** Signs a message and writes it down; only then may it leave. @param {WalletAccount} account @param {Message} message @param {string | null} key @param {string} reference */
  async #signMessage(account, message, key, reference) {
    const messageId = this.domain.hash(typeOf(message), message);
    const signature = await this.#sign(account, typeOf(message), message);
    const outgoing = /** @type {Outgoing} */ ({
      key: key ?? `outbox/${messageId}`, reference, index: account.index, messageId, message, signature, createdAt: Date.now(), stage: "signed",
    });
    // A message that was refused before gives way to this one under its key, and stays known under its own id: should the node have
    // lied and use it after all, it is recognised.
    const before = this.outbox.get(outgoing.key);
    if (before && before.messageId !== messageId) await this.#save({ ...before, key: `outbox/${before.messageId}` });
    await this.#save(outgoing);
    return outgoing;
  }

  /** Sends what is written down. Throws the node's error after noting it. @param {Outgoing} outgoing */
  async #send(outgoing) {
    let receipt;
    try {
      receipt = await this.#submit({ ...outgoing.message, signature: outgoing.signature });
    } catch (error) {
      const { code: number, message } = /** @type {any} */ (error);
      if (number === code.DISCONNECTED) throw error;
      if (await this.#tookEffect(outgoing)) return;
      await this.#save({ ...outgoing, stage: "refused", error: message });
      throw error;
    }
    if (!this.#isPromise(receipt, outgoing.messageId)) {
      const error = "the node's receipt is not signed by the gateway's operator: the payment is not promised, and may still take effect";
      await this.#save({ ...outgoing, stage: "refused", error });
      throw new PaymentsError(code.REJECTED, error);
    }
    this.#advance(outgoing);
    // Beside those given before, until this one takes its place among them.
    const contradicted = this.#contradicted(receipt);
    await this.#save({ ...outgoing, stage: "soft", receipt, error: undefined });
    for (const known of contradicted) await this.#equivocated(known, receipt);
  }

  /** To whoever takes messages. @param {any} message */
  async #submit(message) {
    let refused = new PaymentsError(code.DISCONNECTED, `the payments node is down (${this.node.error}); try again later`);
    for (const link of this.up) {
      try {
        return await link.call("l2_sendMessage", message);
      } catch (error) {
        refused = /** @type {PaymentsError} */ (error);
        if (refused.code !== code.NODE_NOT_OPERATOR) throw error;
      }
    }
    throw refused;
  }

  /** The node took a message on top of what was heard of the account: the next one goes on top of it. @param {Outgoing} outgoing */
  #advance({ index, messageId, message }) {
    const address = this.accounts.find((account) => account.index === index)?.address ?? message.from;
    this.taken.set(address, (this.taken.get(address) ?? 0) + 1);
    const leaf = this.leaves.get(address);
    if (!leaf || leaf.pending.nonce !== message.nonce || leaf.pending.head !== message.prev) return void this.current.delete(address);
    const balance = BigInt(leaf.pending.balance) - BigInt(message.value) - BigInt(message.fee) + (same(message.to, address) ? BigInt(message.value) : 0n);
    leaf.pending = { ...leaf.pending, balance: String(balance), nonce: String(BigInt(message.nonce) + 1n), head: messageId };
  }

  /** Whether the node has the message after all, though it refused it. @param {Outgoing} outgoing */
  async #tookEffect(outgoing) {
    const account = this.accounts.find(({ index }) => index === outgoing.index);
    if (account) {
      const leaf = await this.#leaf(account);
      // Signing another on top of this one would be paying twice.
      if (same(leaf.pending.head, outgoing.messageId) || same(leaf.head, outgoing.messageId)) {
        await this.#save({ ...outgoing, stage: "soft", error: undefined });
        return true;
      }
    }
    const found = await this.node.call("l2_getMessage", [outgoing.messageId]).catch(() => null);
    if (!found || found.state === "superseded") return false;
    const receipt = this.#isPromise(found.receipt, outgoing.messageId) ? found.receipt : outgoing.receipt;
    await this.#save({ ...outgoing, stage: found.state === "pending" ? "soft" : found.state, receipt, error: undefined });
    return true;
  }

  /** Sends again what the node does not have, in the order of nonces. @param {string} address */
  async #resend(address) {
    const mine = [...this.outbox.values()].filter(({ message, stage }) => same(message.from, address) && stage === "signed");
    mine.sort((a, b) => (BigInt(a.message.nonce) < BigInt(b.message.nonce) ? -1 : 1));
    for (const outgoing of mine) {
      await this.#send(outgoing).catch((error) => { if (error.code === code.DISCONNECTED) throw error; });
    }
  }

  /** @param {any} receipt @param {string} messageId */
  #isPromise(receipt, messageId) {
    return typeof receipt?.messageId === "string" && same(receipt.messageId, messageId) && isSigned(this.domain, this.operator, receipt);
  }

  // ---- leaving ----

  /** Whether a withdrawal of the account is under way, so that nothing should be signed on top. @param {string} address */
  #isLeaving(address) {
    const posted = this.leaving.get(address);
    if (posted && Date.now() >= posted.until) this.leaving.delete(address);
    return this.leaving.has(address) || this.leaves.get(address)?.exitWaiting === true || this.#exitOf(address) !== undefined;
  }

  /** The forced exit of an account that no batch has served yet. @param {string} address */
  #exitOf(address) {
    return [...this.items.values()].find(({ kind, account, index }) => kind === FORCED_EXIT && same(account, address) && BigInt(index) >= this.inboxCursor);
  }

  /** Sends `requestExit()` from the account itself, after it was given the fee if it lacks it. The wallet asks the user for both. @param {WalletAccount} account */
  async #forceExit({ index, address }) {
    if (this.#exitOf(address)) throw new PaymentsError(code.REJECTED, `${address} has asked to leave already; it is served by the operator, or after a halt by everyone's own claim`);
    const read = async (/** @type {string} */ method, /** @type {any[]} */ params) => BigInt(await this.layer1.request({ method, params }));
    const needed = EXIT_GAS * EXIT_PRICE_ROOM * (await read("eth_gasPrice", []));
    const balance = () => read("eth_getBalance", [address, "latest"]);
    const has = await balance();
    if (has < needed) {
      await this.wallet.fundAccount(index, needed - has);
      const deadline = Date.now() + FUNDED_MS;
      while ((await balance()) < needed) {
        if (Date.now() > deadline) throw new PaymentsError(code.REJECTED, `the ETH for the fee has not arrived at ${address} yet; leave again when it has`);
        await pause(1_000);
      }
    }
    const { transaction } = await this.wallet.withdraw({ function: "requestExit", args: [], from: index });
    this.#refreshSoon();
    return transaction;
  }

  /** What an account has here as far as is known: what was heard, or else what was published last. @param {string} address */
  #money(address) {
    const leaf = this.leaves.get(address);
    if (leaf) return BigInt(leaf.pending.balance) > BigInt(leaf.balance) ? BigInt(leaf.pending.balance) : BigInt(leaf.balance);
    return BigInt(this.before.find((/** @type {any} */ account) => same(account.address, address))?.balance ?? 0);
  }

  /** One thing that a button started, its end told on the screen. @param {() => Promise<string>} work */
  async #work(work) {
    if (this.busy) return;
    this.busy = true;
    this.progress = "At work. What needs your approval waits in the wallet, under Approvals.";
    this.#drawSoon();
    try {
      this.progress = await work();
    } catch (error) {
      this.progress = /** @type {any} */ (error).code === 4001 ? "You rejected it; nothing more was sent." : `It did not work: ${messageOf(error)}`;
    }
    this.busy = false;
    this.#drawSoon();
    this.#refreshSoon();
  }

  async #leaveAll() {
    const rich = this.accounts.filter(({ address }) => this.#money(address) > 0n && !this.#exitOf(address));
    for (const account of rich) await this.#forceExit(account);
    return rich.length === 0
      ? "There is nothing left to ask for: no account has money here that was not asked for already."
      : `Asked. The operator must serve it within ${inWords(this.force)}; ${inWords(this.challenge)} after that you can claim it here.`;
  }

  async #claimAll() {
    let claimed = 0;
    let why = "";
    for (const { address } of this.accounts) {
      try {
        await this.claim({ fromAddress: address });
        claimed++;
      } catch (error) {
        if (/** @type {any} */ (error).code === 4001) throw error;
        why = messageOf(error);
      }
    }
    return claimed > 0 ? `Claimed for ${claimed} account${claimed > 1 ? "s" : ""}.` : `Nothing was claimed: ${why}`;
  }

  async #halt() {
    await this.wallet.withdraw({ function: "halt", args: [] });
    return "The layer 2 is halted. When its last batch is final you can claim all that you have.";
  }

  /** A Withdraw of everything, signed and written down. @param {WalletAccount} account @param {string} latestMessage @param {string | null} key */
  async #signWithdrawal(account, latestMessage, key) {
    await this.#resend(account.address);
    const { pending } = await this.#leaf(account);
    if (latestMessage !== "" && !same(latestMessage, pending.head)) {
      throw new PaymentsError(code.INVALID, `the newest message of ${account.address} is ${pending.head}, not ${latestMessage}; leave latestMessage empty to take the newest`);
    }
    if (BigInt(pending.balance) === 0n) throw new PaymentsError(code.REJECTED, `${account.address} has nothing to withdraw`);
    const message = /** @type {Message} */ ({
      kind: "withdraw", from: account.address, to: ZERO_ADDRESS, value: pending.balance, fee: "0", nonce: pending.nonce, prev: pending.head,
    });
    const messageId = this.domain.hash("Withdraw", message);
    const signature = await this.#sign(account, "Withdraw", message);
    const request = { key: key ?? `withdrawal/${messageId}`, messageId, message, signature, createdAt: Date.now() };
    await this.#saveRequest(request);
    return request;
  }

  /** @param {string} address */
  async #claimedOnLayer1(address) {
    return BigInt(await this.#view("claimed(address)", address));
  }

  // ---- what the node says, checked ----

  /** @param {NodeConnection} link */
  async #onOpen(link) {
    const status = await link.call("l2_status");
    if (Number(status.chainId) !== this.domain.chainId || !same(status.gateway, this.domain.gateway)) {
      throw new PaymentsError(code.WRONG_CHAIN, `it serves gateway ${status.gateway} on chain ${status.chainId}, not this solution's`);
    }
    link.role = String(status.role ?? "");
    await this.#readTerms();
    await link.call("l2_subscribe", ["batches"]);
    await link.call("l2_subscribe", ["alerts"]);
    for (const { address } of this.accounts) await link.call("l2_subscribe", ["account", address]);
  }

  #onUp() {
    this.silentSince = 0;
    // Whatever was missed while the connection was down, or is another node's word: anew.
    this.#startOver();
    this.#publishSoon();
    void (async () => {
      for (const { address } of this.accounts) await this.#inTurn(address, () => this.#resend(address));
    })().catch((error) => console.debug(`payments: ${messageOf(error)}`)).then(() => this.#refreshSoon());
  }

  #onDown() {
    if (this.node.connected) this.#startOver();
    else this.silentSince ||= Date.now();
    this.#publishSoon();
    this.#refreshSoon();
  }

  /** @param {NodeConnection} link @param {string} topic @param {any} body */
  #onNotice(link, topic, body) {
    if (topic === "batches" && body?.rolledBackTo !== undefined) this.#startOver();
    if (body?.missed !== undefined) this.#startOver();
    if (topic === "alerts" && typeof body?.kind === "string") {
      console.warn(`payments node: ${body.kind}: ${body.text}`);
      this.told = [{ kind: body.kind, level: "node", text: String(body.text).slice(0, 300), node: link.url, since: Date.now() }, ...this.told].slice(0, TOLD);
    }
    this.#refreshSoon();
  }

  // ---- the accounts of these keys ----

  /** Looks once, in a database that has not done so, for accounts that these keys have used: the words alone restore them. */
  #search() {
    if (this.searched) return Promise.resolve();
    this.searching ??= this.#searchNow().finally(() => { this.searching = null; });
    return this.searching;
  }

  async #searchNow() {
    const seen = [];
    let last = 0;
    for (let index = 0; index - last <= GAP; index++) {
      const account = this.accounts.find((known) => known.index === index) ?? (await this.wallet.getAccount(index, { peek: true }));
      seen.push(account);
      const leaf = await this.node.call("l2_getAccount", [account.address]);
      await this.#check(account, leaf, this.node);
      // "Never used" must be proven as well.
      if (this.light && !leaf.verified) throw new PaymentsError(code.NODE_SYNCING, "the node is ahead of layer 1, or behind it; the accounts are looked for again");
      if (isUsed(leaf) || (await this.#claimedOnLayer1(account.address)) > 0n) last = index;
    }
    const most = Math.max(last, ...this.accounts.map(({ index }) => index));
    const known = this.accounts.filter(({ index }) => index >= seen.length);
    await this.#keepAccounts(seen.filter(({ index }) => index <= most).concat(known));
    await this.wallet.persist("searched", true);
    this.searched = true;
  }

  /** @param {WalletAccount[]} accounts */
  async #keepAccounts(accounts) {
    const added = accounts.filter(({ index }) => !this.accounts.some((known) => known.index === index));
    // Looked at so far; from here on they are this solution's, also to the wallet.
    for (const { index } of added) await this.wallet.getAccount(index);
    await this.wallet.persist("accounts", accounts);
    this.accounts = accounts;
    for (const link of this.up) {
      for (const { address } of added) await link.call("l2_subscribe", ["account", address]).catch(() => {});
    }
    if (added.length > 0) this.#refreshSoon();
  }

  // ---- what nodes say ----

  /** The gateway's terms, from layer 1 and not from the node. */
  async #readTerms() {
    if (this.operator) return;
    const [operator, challenge, force, bond] = await Promise.all(["OPERATOR()", "CHALLENGE()", "FORCE()", "MIN_BOND()"].map((name) => this.#view(name)));
    if (!LOCAL_CHAINS.includes(this.domain.chainId)) {
      if (BigInt(challenge) < MIN_CHALLENGE) this.warning = `this gateway leaves only ${BigInt(challenge)} s to contest a false batch`;
      else if (BigInt(force) < MIN_FORCE) this.warning = `this gateway calls a forced exit overdue after ${BigInt(force)} s already`;
      else if (BigInt(bond) < MIN_BOND) this.warning = `the operator's bond may be as low as ${BigInt(bond)} wei`;
    }
    this.challenge = BigInt(challenge);
    this.force = BigInt(force);
    this.operator = "0x" + operator.slice(-40);
  }

  /** A view of the gateway; gives the answer's words. @param {string} signature @param {(string | bigint)[]} args @returns {Promise<string>} */
  #view(signature, ...args) {
    return this.#viewAt("latest", signature, ...args);
  }

  /** @param {string} block @param {string} signature @param {(string | bigint)[]} args @returns {Promise<string>} */
  #viewAt(block, signature, ...args) {
    const data = selector(signature) + abi(...args).slice(2);
    return this.layer1.request({ method: "eth_call", params: [{ to: this.domain.gateway, data }, block] });
  }

  get local() {
    return LOCAL_CHAINS.includes(this.domain.chainId);
  }

  /** What layer 1 itself says of the gateway, also while no node answers. */
  async #look() {
    const [halted, due, final, next, cursor] = await Promise.all([
      this.#view("halted()"), this.#view("dueTime()"),
      // The end of a window counts where layer 1 will not take it back; the blocks of a local chain never are there in time.
      this.#viewAt(this.local ? "latest" : "finalized", "finalisedId()"),
      this.#view("nextId()"), this.#view("inboxCursor()")]);
    this.halted = BigInt(halted) !== 0n;
    this.overdueAt = BigInt("0x" + due.slice(66, 130));
    this.finalBatch = BigInt(final);
    this.standing = BigInt(next) - 1n;
    this.inboxCursor = BigInt(cursor);
  }

  /** A standing batch as layer 1 has it; null where it has none. @param {string} id */
  async #batch(id) {
    if (id === "0") return { commitment: ZERO_WORD, root: ZERO_WORD };
    // batches(id) gives (commitment, root, time, inboxEnd) and reverts where the batch does not stand.
    const words = await this.#view("batches(uint256)", BigInt(id)).catch(() => "0x");
    return words.length < 130 ? null : { commitment: "0x" + words.slice(2, 66), root: "0x" + words.slice(66, 130) };
  }

  /** Whether a witness leads to the root of a batch that stands on layer 1. @param {WalletAccount} account @param {any} proof @param {string} batch */
  async #proves(account, proof, batch) {
    const root = rootOf(account.address, proof);
    return root !== null && root === (await this.#batch(String(batch)))?.root;
  }

  /** The account as the node tells it, its proof checked against layer 1's root. @param {WalletAccount} account */
  async #leaf(account) {
    const { address } = account;
    const taken = this.taken.get(address);
    const link = this.node;
    const leaf = await link.call("l2_getAccount", [address]);
    await this.#check(account, leaf, link);
    if (taken === this.taken.get(address)) this.current.add(address);
    // A message was taken meanwhile: what was advanced here is newer than what the node said.
    else if (this.current.has(address)) leaf.pending = this.leaves.get(address).pending;
    this.leaves.set(address, leaf);
    const posted = this.leaving.get(account.address);
    // From here on the node knows it: it says exitWaiting until the exit is served.
    if (posted && posted.nonce >= 0n && (leaf.exitWaiting || BigInt(leaf.nonce) > posted.nonce)) this.leaving.delete(account.address);
    return leaf;
  }

  /** Sets `leaf.verified`; throws when what the node says cannot be true, whatever layer 1 is about to learn. @param {WalletAccount} account @param {any} leaf @param {NodeConnection} link */
  async #check({ address }, leaf, link) {
    leaf.verified = false;
    if (!this.light) return;
    const doubt = `unproven/${address}`;
    const known = this.leaves.get(address);
    if (known?.verified && known.root === leaf.root && known.batch === leaf.batch && LEAF_FIELDS.every((name) => leaf[name] === known[name])) {
      leaf.verified = true;
    } else {
      const shown = leafOf(address, leaf.proof);
      let fits = LEAF_FIELDS.every((name) => String(shown[name]) === String(leaf[name])) && rootOf(address, leaf.proof) === leaf.root;
      if (fits) {
        const batch = await this.#batch(leaf.batch);
        leaf.verified = batch?.root === leaf.root;
        // A batch's commitment binds its root. With another commitment the endpoint may be a block apart from the node.
        fits = leaf.verified || batch === null || !same(batch.commitment, leaf.commitment);
      }
      if (!fits) {
        const text = `The node ${link.url} says that account ${address} has ${inEther(leaf.balance)}, and layer 1 proves that this is false. Do not trust this node.`;
        if (known && link === this.node) known.verified = false;
        this.lies.add(link.url);
        // One alarm a node: how many of its answers are false says nothing more.
        if (!this.alarms.has(`false-proof/${link.url}`)) {
          this.#raise(`false-proof/${link.url}`, "false-proof", "alarm", text, { node: link.url, account: address });
          // From now on another one is asked, if there is one: what this one told of the past goes with it.
          if (this.links.length > 1) this.#startOver();
        }
        if (this.links.length === 1 && link.urls.length > 1) link.leave("what it says is proven false");
        throw new PaymentsError(code.REJECTED, text);
      }
    }
    if (leaf.verified) this.#clear(doubt);
    else if (this.#lasts(doubt)) {
      this.#raise(doubt, "unproven", "warning", `What the node ${link.url} says of account ${address} is not proven on layer 1: treat its balance as unknown.`, { node: link.url, account: address });
    }
  }

  #refreshSoon() {
    if (!this.links.some(({ connected, opening }) => connected || opening)) return;
    void this.#refresh().catch((error) => console.debug(`payments: ${messageOf(error)}`));
  }

  /** Fetches everything anew; changes that come meanwhile make it go round once more. */
  async #refresh() {
    this.stale = true;
    if (this.refreshing) return;
    this.refreshing = true;
    try {
      while (this.stale) {
        this.stale = false;
        const { generation } = this;
        const status = await this.node.call("l2_status");
        await this.#look();
        if (!this.light) this.finalBatch = BigInt(status.final);
        await this.#search().catch((error) => console.debug(`payments: the accounts are looked for later: ${messageOf(error)}`));
        this.lies.clear();
        const { url } = this.node;
        for (const account of this.accounts) {
          try {
            await this.#leaf(account);
          } catch (error) {
            // Shown as not verified; the others and the history are still worth having.
            if (/** @type {any} */ (error).code !== code.REJECTED) throw error;
          }
          await this.#follow(account);
        }
        if (this.light) {
          if (!this.lies.has(url) && this.accounts.every(({ address }) => this.leaves.get(address)?.verified)) this.#clear(`false-proof/${url}`);
          for (const account of this.accounts) {
            await this.#judgeHead(account);
            await this.#keepProofs(account);
          }
          await this.#checkReceipts();
        }
        await this.#compare();
        await this.#settle();
        await this.#prune();
        this.whole = generation;
        this.#watch();
        // Everything was thrown away meanwhile: once more.
        if (generation !== this.generation) this.stale = true;
        await this.#publish();
      }
    } finally {
      this.refreshing = false;
    }
  }

  /** Reads what happened to an account since last time. @param {WalletAccount} account */
  async #follow(account) {
    for (;;) {
      const known = this.history.get(account.address) ?? { cursor: "0", entries: [] };
      const page = await this.node.call("l2_getMessages", [account.address, known.cursor]);
      if (page.reset) {
        this.history.delete(account.address);
        continue;
      }
      // `history` may have been cleared by a roll-back while the page was on its way; then this page is not kept.
      if (this.history.has(account.address) || known.cursor === "0") {
        this.history.set(account.address, { cursor: page.cursor, entries: known.entries.concat(page.messages.filter((/** @type {any} */ entry) => entry?.place)) });
      }
      this.promised.set(account.address, page.pending ?? []);
      if (!page.more) return;
    }
  }

  /** Position nodes: every other node is asked for the same batch, and must say the same. */
  async #compare() {
    if (this.dials.networking !== "nodes") return;
    const first = this.node;
    for (const account of this.accounts) {
      const { address } = account;
      const mine = this.leaves.get(address);
      if (!mine) continue;
      for (const link of this.links) {
        if (link === first || !link.connected) continue;
        // It may be behind, and a node that goes away now is left anyway.
        const other = await link.call("l2_getAccount", [address, mine.batch]).catch(() => null);
        if (other === null) continue;
        const key = `disagree/${link.url}/${address}`;
        const about = differences(mine, other);
        if (about.length === 0) {
          this.#clear(key);
          if (mine.verified) this.#clear(`false-proof/${link.url}`);
          continue;
        }
        const says = (/** @type {NodeConnection} */ { url }, /** @type {any} */ leaf) => `${url} says ${inEther(leaf.balance)}, ${leaf.nonce} messages sent`;
        this.#raise(key, "disagree", "warning", `Two nodes disagree about account ${address} after batch ${mine.batch}: ${says(first, mine)}; ${says(link, other)} (${about.join(", ")} differ).`
          + (mine.verified ? ` Layer 1 proves the first.` : ""), { account: address, node: link.url });
        // Which of them is proven false is told too, and that one is left.
        await this.#check(account, other, link).catch(() => {});
      }
    }
  }

  // ---- watching the operator ----

  /** The newest message of a proven leaf must be one that this wallet signed, or asked for on layer 1. @param {WalletAccount} account */
  async #judgeHead({ address }) {
    const leaf = this.leaves.get(address);
    if (!leaf?.verified) return;
    const key = `head/${address}`;
    const known = this.heads.get(address);
    const { nonce } = leaf;
    const head = leaf.head.toLowerCase();
    const own = !known || head === known.head || BigInt(nonce) < BigInt(known.nonce) || this.#own().has(head) || this.items.has(`item/${head}`);
    if (own) {
      this.#clear(key);
      if (known && (head === known.head || BigInt(nonce) < BigInt(known.nonce))) return;
      // In a new database, such as after a restore from the words, the first proven one is where this wallet begins.
      await this.wallet.persist(key, { nonce, head });
      this.heads.set(address, { nonce, head });
    } else if (this.#lasts(key)) {
      this.#raise(key, "foreign-head", "alarm", `Account ${address} has sent a message that this wallet never signed (${head}). If you use the same words in another wallet, that was you; `
        + "if not, somebody else has its key: take the money out now.", { account: address });
    }
  }

  /** The user says that it was their own, from another copy of these keys. @param {number} index */
  async #adoptHead(index) {
    const account = this.accounts.find((known) => known.index === index);
    if (!account) return;
    const leaf = this.leaves.get(account.address);
    if (!leaf?.verified) return;
    const head = { nonce: leaf.nonce, head: leaf.head.toLowerCase() };
    await this.wallet.persist(`head/${account.address}`, head);
    this.heads.set(account.address, head);
    this.#clear(`head/${account.address}`);
  }

  /** The account at the newest final batch, proven; and what is needed to claim without any node. @param {WalletAccount} account */
  async #keepProofs(account) {
    const { address } = account;
    const newest = this.leaves.get(address);
    const own = this.dials.history === "own";
    if (own && newest?.verified && newest.keptProof !== true && isUsed(newest)) {
      await this.wallet.persist(`proof/newest/${address}`, { batch: newest.batch, proof: newest.proof });
      newest.keptProof = true;
    }
    const batch = String(this.finalBatch);
    if (this.finals.get(address)?.batch === batch) return;
    const leaf = await this.node.call("l2_getAccount", [address, batch]).catch((error) => {
      if (error.code === code.DISCONNECTED) throw error;
      return null;
    });
    if (leaf === null || !(await this.#proves(account, leaf.proof, batch))) return;
    const { balance, withdrawn, nonce, head } = leafOf(address, leaf.proof);
    this.finals.set(address, { batch, proof: leaf.proof, balance, withdrawn, nonce, head });
    if (own && isUsed(leaf)) await this.wallet.persist(`proof/final/${address}`, { batch, proof: leaf.proof });
  }

  /** Receipts of one's own that a new one contradicts. @param {any} receipt */
  #contradicted(receipt) {
    const at = BigInt(receipt.sequence);
    const near = [at - 1n, at, at + 1n].map((sequence) => this.receipts.get(String(sequence)));
    return near.filter((known) => known && contradicts(this.domain, this.operator, known, receipt));
  }

  /** The kept receipts against the chain of receipts that every node tells. */
  async #checkReceipts() {
    const open = [...this.outbox.values()].filter(({ stage, receipt }) => stage === "soft" && receipt).slice(-RECEIPTS_CHECKED);
    for (const link of this.up.filter(({ givesReceipts }) => givesReceipts)) {
      for (const { receipt } of open) {
        const page = await link.call("l2_getReceipts", [receipt.sequence, "2"]).catch((error) => {
          if (error.code === code.NO_METHOD) link.givesReceipts = false;
          return null;
        });
        const told = Array.isArray(page?.receipts) ? page.receipts : [];
        for (const other of told) {
          if (contradicts(this.domain, this.operator, receipt, other)) await this.#equivocated(receipt, other);
        }
        const there = told.find((/** @type {any} */ other) => other?.sequence === receipt.sequence);
        const key = `receipt/${link.url}`;
        if (there && !same(String(there.messageId), receipt.messageId) && !isSigned(this.domain, this.operator, there)) {
          this.#raise(key, "disagree", "warning", `The node ${link.url} shows another promise in place ${receipt.sequence} than the one that the operator signed for you.`, { node: link.url });
        } else if (there) this.#clear(key);
      }
    }
  }

  /** Two signatures that contradict each other are kept: anyone can check them. @param {any} one @param {any} other */
  async #equivocated(one, other) {
    const evidence = { receipts: [one, other], at: Date.now() };
    const key = `evidence/${[one, other].map((receipt) => this.domain.hash("Receipt", receipt)).sort().join("-")}`;
    if (this.alarms.has(key)) return;
    await this.wallet.persist(key, evidence);
    this.#raiseEquivocation({ ...evidence, key });
  }

  /** @param {any} evidence */
  #raiseEquivocation({ receipts: [one, other], key }) {
    const hash = [one, other].map((receipt) => this.domain.hash("Receipt", receipt)).sort().join("-");
    this.#raise(key ?? `evidence/${hash}`, "equivocation", "alarm",
      `The operator has signed two promises that contradict each other (places ${one.sequence} and ${other.sequence}). An honest operator cannot do that. Both signatures are kept as evidence.`);
  }

  /** How late a promise may be. */
  #patience() {
    const part = Number(this.force) * 1000 / PATIENCE_OF_FORCE;
    return part > 0 ? Math.min(part, MOST_PATIENCE_MS) : MOST_PATIENCE_MS;
  }

  /** Whether something looks wrong for longer than two honest views of layer 1 may differ. @param {string} key @param {number} [ms] */
  #lasts(key, ms = this.local ? LAG_LOCAL_MS : LAG_MS) {
    const since = this.doubts.get(key);
    if (since === undefined) this.doubts.set(key, Date.now());
    return since !== undefined && Date.now() - since >= ms;
  }

  /** Raises or clears what time alone decides. */
  #watch() {
    if (!this.light) return;
    const now = Date.now(), patience = this.#patience();
    const about = (/** @type {string} */ kind, /** @type {boolean} */ holds, /** @type {string} */ level, /** @type {string} */ text) =>
      holds ? this.#raise(kind, kind, level, text) : this.#clear(kind);
    const money = this.accounts.reduce((sum, { address }) => sum + this.#money(address), 0n);
    // What was promised before this start is late only when some node was heard of it.
    const late = this.whole < 0 ? [] : [...this.outbox.values()].filter(({ stage, receipt, promisedAt }) => stage === "soft" && receipt && now - (promisedAt ?? now) > patience);
    about("withheld", late.length > 0, "alarm", `The operator has promised ${late.length} payment${late.length > 1 ? "s" : ""} of yours, and layer 1 shows none of it after more than ${inWords(patience / 1000)}. It may be withholding.`);
    about("silent", this.silentSince > 0 && now - this.silentSince > patience && money > 0n, "alarm", `No node of this layer 2 has answered for more than ${inWords(patience / 1000)} (${this.node.error}).`);
    const newest = [...this.leaves.values()].reduce((most, { batch }) => (BigInt(batch) > most ? BigInt(batch) : most), 0n);
    const behind = this.node.connected && this.leaves.size > 0 && newest < this.standing;
    if (!behind) this.doubts.delete("behind");
    about("behind", behind && this.#lasts("behind", patience), "warning", `The node ${this.node.url} shows batch ${newest}, and layer 1 has batch ${this.standing}: what you see here may be old.`);
    about("halted", this.halted && money > 0n, "alarm", "This layer 2 was halted, for ever: nothing can be paid here any more. What you have is claimed from layer 1, when its last batch is final.");
    about("overdue", !this.halted && this.overdueAt > 0n && this.now > this.overdueAt, "alarm", "The operator has left a request on layer 1 unserved beyond the time that the gateway gives it. Anyone may halt this layer 2 now; then everybody claims from layer 1.");
    const exits = this.accounts.map(({ address }) => this.#exitOf(address)).filter((exit) => exit !== undefined);
    about("leaving", exits.length > 0 && !this.halted, "info", `You have asked to leave with ${exits.length} account${exits.length > 1 ? "s" : ""}. The operator must serve it within ${inWords(this.force)} of your request.`);
  }

  /** @param {string} key @param {string} kind @param {string} level alarm, warning or info @param {string} text @param {Record<string, any>} [more] */
  #raise(key, kind, level, text, more = {}) {
    const before = this.alarms.get(key);
    if (before?.text === text) return;
    this.alarms.set(key, { ...more, kind, level, text, since: before?.since ?? Date.now() });
    const calls = !before && level !== "info";
    if (calls) {
      console.warn(`payments: ${kind}: ${text}`);
      void this.wallet.notify({ level: level === "alarm" ? "danger" : "warning", text }).catch(() => {});
    }
    this.#drawSoon(calls);
    this.#publishSoon();
  }

  /** @param {string} key */
  #clear(key) {
    this.doubts.delete(key);
    if (!this.alarms.delete(key)) return;
    this.#drawSoon();
    this.#publishSoon();
  }

  /** Shows the alarms as they are now. A screen that the user has closed comes back with the next new alarm. @param {boolean} [calls] */
  #drawSoon(calls = false) {
    this.redraw = true;
    this.calls ||= calls;
    if (this.drawing) return;
    this.drawing = true;
    void (async () => {
      try {
        while (this.redraw) {
          this.redraw = false;
          const alarms = [...this.alarms.values()];
          if (!alarms.some(({ level }) => level !== "info")) {
            this.#closeScreen();
            continue;
          }
          const accounts = this.accounts.map(({ index, address }) => ({ index, address, money: this.#money(address), foreign: this.alarms.has(`head/${address}`), asked: this.#exitOf(address) !== undefined }));
          const tree = alarmScreen({ alarms, accounts, force: this.force, challenge: this.challenge, progress: this.progress, busy: this.busy });
          if (this.screen !== null) await this.wallet.updateUi(this.screen, tree).catch(() => { this.screen = null; });
          if (this.screen === null && this.calls) this.screen = await this.wallet.displayUi(tree);
          this.calls = false;
        }
      } catch (error) {
        console.warn(`payments: the warning could not be shown: ${messageOf(error)}`);
      } finally {
        this.drawing = false;
      }
    })();
  }

  #closeScreen() {
    const { screen } = this;
    this.screen = null;
    if (screen !== null) void this.wallet.updateUi(screen, null).catch(() => {});
  }

  /** Moves what was sent along its stages, also backwards. */
  async #settle() {
    const places = new Map();
    for (const { entries } of this.history.values()) {
      for (const entry of entries) if (entry.id) places.set(entry.id.toLowerCase(), entry);
    }
    for (const outgoing of this.outbox.values()) {
      const id = outgoing.messageId.toLowerCase();
      const place = places.get(id);
      let { stage } = outgoing;
      const fate = this.#fate(outgoing, this.leaves, place);
      if (fate === "superseded") stage = "superseded";
      else if (fate === "effective") stage = this.#fate(outgoing, this.finals, place) === "effective" ? "final" : "sequenced";
      // The node says that it is in a batch, and the proven leaf knows nothing of it (yet).
      else if (place && fate === "pending") stage = "soft";
      else if (place) stage = this.#finality(place);
      else if (stage === "soft" || stage === "sequenced" || stage === "final") {
        const found = await this.node.call("l2_getMessage", [outgoing.messageId]).catch((error) => {
          if (error.code === code.NOT_FOUND) return null;
          throw error;
        });
        // Not known any more (another operator's database, a roll-back): say it again.
        stage = !found ? "signed" : found.state === "superseded" ? "superseded" : found.state === "pending" || fate === "pending" ? "soft" : found.state;
      } else if (stage === "refused" && BigInt(this.leaves.get(this.#addressOf(outgoing))?.nonce ?? 0) > BigInt(outgoing.message.nonce)) {
        stage = "superseded";
      }
      if (stage !== outgoing.stage) await this.#save({ ...outgoing, stage });
      if (stage === "signed") {
        await this.#inTurn(outgoing.message.from, () => this.#resend(outgoing.message.from));
      }
    }
  }

  /** What proven leaves say of a message; unknown in position node, where nothing is proven. @param {Outgoing} outgoing @param {Map<string, any>} leaves @param {any} place where the node says that it stands */
  #fate(outgoing, leaves, place) {
    const leaf = leaves.get(this.#addressOf(outgoing));
    if (!this.light || !leaf || (leaves === this.leaves && !leaf.verified)) return "unknown";
    const fate = fateOf(effectiveIn(leaf, this.#own()), outgoing.messageId, outgoing.message);
    // Older than what the kept messages link to: the place, if the leaf's batch has it.
    return fate === "unknown" && place && BigInt(place.place.batch) <= BigInt(leaf.batch) ? "effective" : fate;
  }

  /** All messages that this wallet has signed and still keeps, by id. */
  #own() {
    this.owned ??= new Map([...this.outbox.values(), ...this.requests.values()].map(({ messageId, message }) => [messageId.toLowerCase(), message]));
    return this.owned;
  }

  /** Old payments that are settled leave the database; layer 1 has them. */
  async #prune() {
    const kept = this.dials.history === "own" ? KEPT.own : KEPT.node;
    const settled = [...this.outbox.values()].filter(({ stage }) => stage === "final" || stage === "superseded");
    if (settled.length <= kept) return;
    settled.sort((a, b) => a.createdAt - b.createdAt);
    for (const { key } of settled.slice(0, settled.length - kept)) {
      await this.wallet.deleteFromLocalDb(key);
      this.outbox.delete(key);
    }
    this.owned = null;
  }

  /** @param {Outgoing} outgoing */
  #addressOf(outgoing) {
    return this.accounts.find(({ index }) => index === outgoing.index)?.address ?? outgoing.message.from;
  }

  /** @param {any} entry of the history */
  #finality(entry) {
    return BigInt(entry.place.batch) <= this.finalBatch ? "final" : "sequenced";
  }

  #probe() {
    setTimeout(async () => {
      if (this.node.connected) this.#refreshSoon();
      else if (this.light) await this.#readTerms().then(() => this.#look()).then(() => this.#watch()).catch((error) => console.debug(`payments: ${messageOf(error)}`));
      this.#probe();
    }, PROBE_MS);
  }

  // ---- published state ----

  async #publish() {
    await this.wallet.updateLayer2State(this.#state());
  }

  /** Publishes without being waited for; what changes meanwhile is published once more. */
  #publishSoon() {
    this.unpublished = true;
    if (this.publishing) return;
    this.publishing = true;
    void (async () => {
      try {
        while (this.unpublished) {
          this.unpublished = false;
          await this.#publish();
        }
      } catch (error) {
        console.warn(`payments: the state could not be published: ${messageOf(error)}`);
      } finally {
        this.publishing = false;
      }
    })();
  }

  #state() {
    const accounts = this.accounts.map(({ index, address }) => {
      const leaf = this.leaves.get(address);
      if (!leaf) return { index, address, balance: 0n, withdrawn: 0n, claimed: 0n, nonce: 0n, head: ZERO_WORD, finality: "unknown", verified: false, provisional: false, finalBalance: 0n, depositsWaiting: 0n };
      const soft = leaf.pending.nonce !== leaf.nonce || leaf.pending.balance !== leaf.balance;
      const verified = leaf.verified === true;
      const final = this.finals.get(address);
      return {
        index, address, balance: BigInt(leaf.pending.balance), withdrawn: BigInt(leaf.withdrawn), claimed: BigInt(leaf.claimed ?? 0),
        nonce: BigInt(leaf.pending.nonce), head: leaf.pending.head, finality: soft ? "soft" : this.#finalityOf(leaf), verified,
        // Proven against a root that can still be contested.
        provisional: verified && BigInt(leaf.batch) > this.finalBatch,
        // What no contest takes away any more, as far as it is proven.
        finalBalance: BigInt(final?.balance ?? 0),
        depositsWaiting: BigInt(leaf.depositsWaiting ?? 0),
      };
    });
    const { connected, error, url } = this.node;
    const alerts = [...this.alarms.values(), ...this.told].slice(0, SHOWN);
    const warning = this.warning || (alerts.find(({ level }) => level === "alarm") ?? alerts.find(({ level }) => level === "warning"))?.text || "";
    const nodes = this.links.map((link) => ({ url: link.url, role: link.role, connected: link.connected, error: link.error }));
    const node = { connected, error, halted: this.halted, warning, url, nodes, dials: this.dials, restored: this.searched };
    if (this.whole !== this.generation && this.published) return { node, alerts };
    this.published = true;
    return {
      balance: accounts.reduce((sum, { balance }) => sum + balance, 0n),
      accounts,
      payments: this.#payments(),
      withdrawals: this.#withdrawals(),
      node,
      alerts,
    };
  }

  /** A proven leaf is final when layer 1 says so; else it is as the node says. @param {any} leaf */
  #finalityOf(leaf) {
    if (!this.light) return leaf.finality;
    if (BigInt(leaf.batch) <= this.finalBatch) return leaf.verified ? "final" : "sequenced";
    return leaf.finality === "soft" ? "soft" : "sequenced";
  }

  /** Newest first: what was sent from here, then what came in or was sent from another copy of these keys. */
  #payments() {
    const own = new Set();
    const open = (/** @type {string} */ stage) => stage !== "final" && stage !== "superseded";
    const list = [...this.outbox.values()]
      .filter(({ message }) => message.kind === "payment")
      .map(({ reference, message, messageId, stage, error, createdAt }) => {
        own.add(messageId.toLowerCase());
        return { reference, direction: "out", from: message.from, to: message.to, value: BigInt(message.value), messageId, stage, provisional: open(stage), ...(error ? { error } : {}), at: createdAt };
      })
      .sort((a, b) => b.at - a.at);
    const rest = [];
    for (const { address } of this.accounts) {
      const entries = this.history.get(address)?.entries ?? [];
      const placed = new Set(entries.map((entry) => entry.id?.toLowerCase()));
      const promised = (this.promised.get(address) ?? []).filter((entry) => entry?.id && !placed.has(entry.id.toLowerCase()));
      for (const entry of entries.concat(promised)) {
        if (entry.kind !== "payment") continue;
        const incoming = same(entry.to, address);
        if (!incoming && own.has(entry.id.toLowerCase())) continue;
        const stage = entry.place ? this.#finality(entry) : "soft";
        const batch = entry.place ? BigInt(entry.place.batch) : this.standing + 1n;
        rest.push({ reference: "", direction: incoming ? "in" : "out", from: entry.from, to: entry.to, value: BigInt(entry.value), messageId: entry.id, stage, provisional: open(stage), batch });
      }
    }
    rest.sort((a, b) => (a.batch === b.batch ? 0 : a.batch < b.batch ? 1 : -1));
    return list.slice(0, SHOWN).concat(/** @type {any[]} */ (rest).slice(0, SHOWN));
  }

  /** Requested (on layer 1), sequenced, final (can be claimed), claimed. Newest first. */
  #withdrawals() {
    const transactions = new Map([...this.requests.values()].map(({ messageId, transaction }) => [messageId.toLowerCase(), transaction]));
    const done = new Set();
    const list = [];
    for (const [address, { entries }] of this.history) {
      const claimed = BigInt(this.leaves.get(address)?.claimed ?? 0);
      let withdrawn = 0n;
      for (const entry of entries) {
        if (!["withdraw", "postedWithdraw", "forcedExit"].includes(entry.kind) || !same(entry.from, address)) continue;
        const value = BigInt(entry.value);
        withdrawn += value;
        const id = entry.id.toLowerCase();
        done.add(id);
        const stage = withdrawn <= claimed ? "claimed" : this.#finality(entry);
        list.unshift({ account: address, value, messageId: entry.id, transaction: transactions.get(id) ?? ZERO_WORD, stage });
      }
    }
    const requested = [...this.requests.values()]
      .filter(({ messageId, transaction }) => transaction && !done.has(messageId.toLowerCase()))
      .map(({ message, messageId, transaction }) => {
        const nonce = this.leaves.get(message.from)?.nonce ?? "0";
        return { account: message.from, value: BigInt(message.value), messageId, transaction, stage: BigInt(nonce) > BigInt(message.nonce) ? "superseded" : "requested" };
      });
    const exits = this.accounts.flatMap(({ address }) => {
      const exit = this.#exitOf(address);
      return exit && !done.has(exit.head) ? [{ account: address, value: this.#money(address), messageId: exit.head, transaction: ZERO_WORD, stage: "requested" }] : [];
    });
    return exits.concat(requested, list).slice(0, SHOWN);
  }

  // ---- small tools ----

  /** @param {string} address @returns {WalletAccount} */
  #account(address) {
    const account = this.accounts.find((known) => same(known.address, address));
    if (!account) throw new PaymentsError(code.INVALID, `${address} is no account of this solution; it has ${this.accounts.map((known) => known.address).join(", ")}`);
    return account;
  }

  /** @param {WalletAccount} account @param {keyof TYPES} type @param {Record<string, any>} fields @returns {Promise<string>} 65 bytes, 0x-hex */
  async #sign(account, type, fields) {
    const { signature } = await this.wallet.signWithAccount(account.index, { typedData: this.domain.typedData(type, fields) });
    // What was signed must be what will be hashed on layer 1.
    if (!crypto.eth.verify(this.domain.digest(type, fields), signature, account.address)) {
      throw new PaymentsError(-32603, `the wallet signed another ${type} than was asked for`);
    }
    return signature;
  }

  /** @param {Outgoing} outgoing */
  async #save(outgoing) {
    // How long a promise is open counts from when it was given, or came back after its batch fell.
    if (outgoing.stage === "soft" && this.outbox.get(outgoing.key)?.stage !== "soft") outgoing = { ...outgoing, promisedAt: Date.now() };
    await this.wallet.persist(outgoing.key, outgoing);
    this.#remember(outgoing);
    this.#publishSoon();
  }

  /** @param {Outgoing} outgoing */
  #remember(outgoing) {
    this.outbox.set(outgoing.key, outgoing);
    if (outgoing.receipt) this.receipts.set(outgoing.receipt.sequence, outgoing.receipt);
    this.owned = null;
  }

  /** @param {any} request */
  async #saveRequest(request) {
    await this.wallet.persist(request.key, request);
    this.requests.set(request.key, request);
    this.owned = null;
  }

  /** The same call while it runs is one call. @template T @param {string | null} key @param {() => Promise<T>} work @returns {Promise<T>} */
  #once(key, work) {
    if (key === null) return work();
    const running = this.running.get(key) ?? work().finally(() => this.running.delete(key));
    this.running.set(key, running);
    return running;
  }

  /** One signature at a time and account: each names the one before. @template T @param {string} address @param {() => Promise<T>} work @returns {Promise<T>} */
  #inTurn(address, work) {
    const name = address.toLowerCase();
    const turn = (this.queues.get(name) ?? Promise.resolve()).then(work, work);
    this.queues.set(name, turn.catch(() => {}));
    return turn;
  }
}

/** Where a call's result is kept: an id is its caller's own. @param {any} context */
const outboxKey = (context) => {
  const id = context?.id;
  if (id === undefined || id === null || id === "") return null;
  return `outbox/${keccak(JSON.stringify([context.caller, id]))}`;
};

/** Whether an account has ever been used, as a node tells it. @param {any} leaf */
const isUsed = (leaf) =>
  [leaf.balance, leaf.withdrawn, leaf.nonce, leaf.claimed ?? 0, leaf.depositsWaiting ?? 0, leaf.pending?.balance ?? 0, leaf.pending?.nonce ?? 0].some((value) => BigInt(value) !== 0n);

/** @param {number} ms @returns {Promise<void>} */
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- the screen that warns ---------------------------------------------------------------------------------------

/** @param {string} text @param {Record<string, string>} [props] */
const say = (text, props = {}) => ({ type: "Text", props, children: text });
/** @param {string} title @param {string} severity @param {string} text */
const banner = (title, severity, text) => ({ type: "Banner", props: { title, severity }, children: [say(text)] });

/** Titles of alarms, for whoever does not know the words. */
const TITLES = /** @type {Record<string, string>} */ ({
  withheld: "A promised payment does not appear on layer 1", silent: "This layer 2 does not answer", equivocation: "The operator contradicts itself",
  "false-proof": "A node tells something false", unproven: "A balance is not proven", disagree: "Two nodes disagree", behind: "A node is behind",
  "foreign-head": "A payment that this wallet did not make", halted: "This layer 2 was halted", overdue: "The operator breaks the gateway's rules", leaving: "You are leaving",
});
/** Alarms after which leaving is the advice, not only a possibility. */
const SERIOUS = ["withheld", "silent", "equivocation", "foreign-head"];

/**
 * What the user sees when something is wrong: what it is, what it means, what can be done. A button asks the wallet; the wallet asks the
 * user, and only that moves money.
 * @param {{ alarms: any[], accounts: { index: number, address: string, money: bigint, foreign: boolean, asked: boolean }[], force: bigint, challenge: bigint, progress: string, busy: boolean }} facts
 */
export const alarmScreen = ({ alarms, accounts, force, challenge, progress, busy }) => {
  const rich = accounts.filter(({ money }) => money > 0n);
  const total = rich.reduce((sum, { money }) => sum + money, 0n);
  const has = (/** @type {string} */ kind) => alarms.some((alarm) => alarm.kind === kind);
  const children = alarms.slice(0, 8).map(({ kind, level, text }) =>
    banner(TITLES[kind] ?? kind, level === "alarm" ? "danger" : level === "warning" ? "warning" : "info", text));
  const add = (/** @type {any[]} */ ...more) => children.push(...more);
  /** @param {string} name @param {string} text @param {string} variant */
  const button = (name, text, variant) => ({ type: "Button", props: { name, variant, disabled: busy }, children: text });
  add({ type: "Row", props: { label: "You have here" }, children: [{ type: "Value", props: { value: inEther(total) } }] });
  for (const { index, address, money, asked } of rich) {
    add({ type: "Row", props: { label: `Account ${index}: ${inEther(money)}${asked ? ", asked to leave" : ""}` }, children: [{ type: "Address", props: { address } }] });
  }
  add(say("Your ETH lies in a contract on layer 1, not with the operator. You can take it out without the operator's help and without any node of this layer 2."));
  if (has("halted")) {
    add(button("claim", "Claim what I have", "primary"));
  } else {
    if (has("overdue")) add(button("halt", "Halt this layer 2, so that everybody can claim", "danger"));
    if (rich.some(({ asked }) => !asked)) {
      add({ type: "Heading", props: {}, children: alarms.some(({ kind }) => SERIOUS.includes(kind)) ? "What you can do: leave now" : "If you want to leave" },
        say("1. You approve in the wallet, for each account: a little ETH from your own account for the fee, and the request to leave."),
        say(`2. The operator has to serve the request within ${inWords(force)}. If it does not, anyone may halt this layer 2, and everybody claims from layer 1.`),
        say(`3. After that it takes ${inWords(challenge)}, in which false batches can be contested. Then you claim: the ETH comes to your own account.`),
        say("A payment that was only promised may still take effect before you leave, or not at all. Nothing is sent before you approve it.", { color: "muted" }),
        button("leave", `Leave with everything: ${inEther(total)}`, "danger"));
    }
  }
  for (const { index, foreign } of accounts) if (foreign) add(button(`mine-${index}`, `Account ${index}: that was me, in another wallet`, "default"));
  if (progress) add({ type: "Divider", props: {}, children: [] }, busy ? { type: "Spinner", props: { label: progress } } : banner("What you asked for", "info", progress));
  if (!busy) add(button("later", "Stay, and go on watching", "default"));
  return { type: "Box", props: {}, children };
};
