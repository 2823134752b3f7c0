// The payments layer 2 in the wallet: signs messages with its own accounts, talks to one node over WebSocket, checks what the
// node says about its accounts against layer 1, and leaves layer 2 through the gateway contract.
//
// Order of things that must survive a crash: a message is signed, then written to the local database, then sent. What was
// written and not acknowledged is sent again after every start and every reconnect; the node takes a message it knows again.
//
// One file, because a plugin's main is one module and this one has no build step: the protocol, the node, the plugin, in this order.
//
// Rules of the protocol stand in the `payments-protocol` crate; `vectors/messages.json` and `vectors/tree.json` there hold this file too.

/** @typedef {{ index: number, address: string, publicKey: Uint8Array }} WalletAccount */
/** @typedef {{ kind: "payment" | "withdraw", from: string, to: string, value: string, fee: string, nonce: string, prev: string }} Message */
/**
 * What was signed and may have left this wallet.
 * @typedef {{
 *   key: string, reference: string, index: number, messageId: string, message: Message, signature: string, createdAt: number,
 *   stage: "signed" | "refused" | "soft" | "sequenced" | "final" | "superseded", error?: string, receipt?: any }} Outgoing
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
/** Settled payments kept in the database, about 1 KiB each. */
const KEPT = 2_000;
/** Below these a gateway gives less time than the reference design asks for; local chains are exempt. */
const MIN_CHALLENGE = 7n * 86_400n, MIN_FORCE = 86_400n, MIN_BOND = 2_400_000_000_000_000_000n;
const LOCAL_CHAINS = [1337, 31337];

const code = {
  DISCONNECTED: 4900, WRONG_CHAIN: 4901, INVALID: -32602, NOT_FOUND: -32001, REJECTED: -32003,
  // The node's own, see its documentation.
  NODE_WRONG_NONCE: -32011, NODE_WRONG_PREV: -32013, NODE_BUSY: -32017, NODE_SYNCING: -32018,
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

/**
 * The root to which a leaf and its siblings lead, in the sparse Merkle tree of depth 160 keyed by the hashed address.
 * @param {string} account @param {any} witness as `l2_getAccount` gives it
 */
export const rootOf = (account, witness) => {
  const fields = [witness.balance, witness.withdrawn, witness.nonce].map(BigInt);
  const empty = fields.every((field) => field === 0n) && witness.head === ZERO_WORD;
  // An empty slot hashes to zero whoever is named; a leaf must be the account's own.
  if (!empty && !same(account, witness.account)) return null;
  let node = empty ? ZERO_WORD : keccak(abi(account, ...fields, witness.head));
  let path = BigInt(keccak(account.toLowerCase()).slice(0, 42));
  let bitmap = BigInt(witness.bitmap);
  let used = 0;
  for (let level = 0; level < 160; level++) {
    let sibling = ZERO_WORD;
    if (bitmap & 1n) {
      if (used === witness.siblings.length) return null;
      sibling = witness.siblings[used++];
    }
    if (node !== ZERO_WORD || sibling !== ZERO_WORD) {
      node = keccak("0x" + (path & 1n ? sibling.slice(2) + node.slice(2) : node.slice(2) + sibling.slice(2)));
    }
    path >>= 1n;
    bitmap >>= 1n;
  }
  return used === witness.siblings.length && bitmap === 0n ? node : null;
};

// ---- the node ----------------------------------------------------------------------------------------------------

/** JSON-RPC over one WebSocket, kept open: reconnects by itself, tries the next URL after a failure. */
class NodeConnection {
  /**
   * @param {any} network @param {{ onOpen(): Promise<void>, onUp(): void, onDown(why: string): void, onNotice(topic: string, body: any): void }} events
   *   `onOpen` is part of connecting: while it fails the node counts as down
   */
  constructor(network, events) {
    this.network = network;
    this.events = events;
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
    if (this.connected) return;
    clearTimeout(this.retry);
    const { urls } = this.network;
    let socket = null;
    try {
      if (urls.length === 0) throw new Error("the solution has no network URL; add it again with one");
      socket = await this.network.connect(urls[this.attempts % urls.length]);
      this.socket = socket;
      await this.events.onOpen();
      // Lost while onOpen worked: that was dealt with already.
      if (this.socket !== socket) return;
      this.connected = true;
      this.attempts = 0;
      this.error = "";
      this.events.onUp();
    } catch (error) {
      if (this.socket === socket) this.#down(messageOf(error));
    }
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
    this.retry = setTimeout(() => void this.open(), pause);
    this.events.onDown(why);
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
    if (answer.method === "l2_subscription") return this.events.onNotice(answer.params?.topic, answer.params?.result);
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
    // Set by onStart: the interface is read without a gateway.
    this.domain = /** @type {Domain} */ (/** @type {any} */ (null));
    /** @type {WalletAccount[]} */
    this.accounts = [];
    /** What the node last said of each account, by address. @type {Map<string, any>} */
    this.leaves = new Map();
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
    this.node = new NodeConnection(network, {
      onOpen: () => this.#onOpen(),
      onUp: () => { this.#publishSoon(); this.#refreshSoon(); },
      onDown: () => this.#publishSoon(),
      onNotice: (topic, body) => this.#onNotice(topic, body),
    });
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
      ],
      state: [
        { name: "balance", type: "uint", unit: "wei", role: "balance" },
        { name: "accounts", type: "(uint256,address,uint256,uint256,uint256,uint256,bytes32,string)[]" },
        { name: "payments", type: "(string,string,address,address,uint256,bytes32,string)[]" },
        { name: "withdrawals", type: "(address,uint256,bytes32,bytes32,string)[]" },
        { name: "node", type: "(bool,string)" },
      ],
    };
  }

  // ---- hooks ----

  async onStart() {
    const { gateway } = this.layer1.contracts;
    if (!gateway) throw new PaymentsError(code.INVALID, "payments needs the address of its gateway contract; add the solution again with one");
    this.domain = new Domain(Number(this.layer1.networkId), gateway);
    this.accounts = await this.#knownAccounts();
    for (const key of await this.wallet.listLocalDb("outbox/")) this.outbox.set(key, await this.wallet.getFromLocalDb(key));
    for (const key of await this.wallet.listLocalDb("withdrawal/")) this.requests.set(key, await this.wallet.getFromLocalDb(key));
    this.published = (await this.wallet.getLayer2State())?.accounts !== undefined;
    await this.#publish();
    // The node may be down: that is a state, not a failed start.
    void this.node.open();
    this.#probe();
  }

  /** While the seed is locked no address can be derived; what is known is enough to follow the accounts. @returns {Promise<WalletAccount[]>} */
  async #knownAccounts() {
    try {
      const accounts = await this.wallet.getAccounts();
      if (accounts.length === 0) accounts.push(await this.wallet.getAccount(0));
      await this.wallet.persist("accounts", accounts);
      return accounts;
    } catch (error) {
      const kept = await this.wallet.getFromLocalDb("accounts");
      if (kept === null) throw error;
      return kept;
    }
  }

  /** @param {any} message */
  onNetworkMessage(message) {
    this.node.receive(message);
  }

  /** The gateway told something: the node will know more. */
  onGatewayEvent() {
    this.#refreshSoon();
  }

  /** @param {{ reorgDepth: number }} block */
  onBlock({ reorgDepth }) {
    if (!(reorgDepth > 0)) return;
    // What was proven, was proven on another fork.
    for (const leaf of this.leaves.values()) leaf.verified = false;
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
      await this.node.ready();
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
      await this.node.ready();
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
    await this.node.ready();
    const exit = await this.node.call("l2_getExitProof", [account.address]);
    const before = await this.#claimedOnLayer1(account.address);
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
    const witness = [proof.account, proof.balance, proof.withdrawn, proof.nonce, proof.head, proof.bitmap, proof.siblings];
    const { transaction } = await this.wallet.withdraw({ function: "claim", args: [exit.batch, witness, recipient, signature] });
    this.#refreshSoon();
    return transaction;
  }

  /** @returns {Promise<string>} its address */
  async newAccount() {
    const account = await this.wallet.getAccount();
    if (!this.accounts.some((known) => known.index === account.index)) this.accounts.push(account);
    await this.wallet.persist("accounts", this.accounts);
    if (this.node.connected) {
      await this.#subscribe(account).catch(() => {});
      await this.#refresh().catch(() => {});
    }
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
      await this.node.ready();
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
      receipt = await this.node.call("l2_sendMessage", { ...outgoing.message, signature: outgoing.signature });
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
    await this.#save({ ...outgoing, stage: "soft", receipt, error: undefined });
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
    await this.#save({ ...outgoing, stage: found.state === "pending" ? "soft" : found.state, receipt: found.receipt ?? outgoing.receipt, error: undefined });
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
    try {
      if (!same(receipt.messageId, messageId)) return false;
      const digest = this.domain.digest("Receipt", receipt);
      return same(crypto.eth.recover(digest, receipt.signature), this.operator);
    } catch { return false; }
  }

  // ---- leaving ----

  /** Whether a withdrawal of the account is under way, so that nothing should be signed on top. @param {string} address */
  #isLeaving(address) {
    const posted = this.leaving.get(address);
    if (posted && Date.now() >= posted.until) this.leaving.delete(address);
    return this.leaving.has(address) || this.leaves.get(address)?.exitWaiting === true;
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

  async #onOpen() {
    const status = await this.node.call("l2_status");
    if (Number(status.chainId) !== this.domain.chainId || !same(status.gateway, this.domain.gateway)) {
      throw new PaymentsError(code.WRONG_CHAIN, `it serves gateway ${status.gateway} on chain ${status.chainId}, not this solution's`);
    }
    await this.#readTerms();
    // Whatever was missed while the connection was down: anew.
    this.#startOver();
    await this.node.call("l2_subscribe", ["batches"]);
    await this.node.call("l2_subscribe", ["alerts"]);
    for (const account of this.accounts) await this.#subscribe(account);
    for (const account of this.accounts) {
      await this.#inTurn(account.address, () => this.#resend(account.address));
    }
  }

  /** @param {WalletAccount} account */
  #subscribe(account) {
    return this.node.call("l2_subscribe", ["account", account.address]);
  }

  /** @param {string} topic @param {any} body */
  #onNotice(topic, body) {
    if (topic === "batches" && body?.rolledBackTo !== undefined) this.#startOver();
    if (body?.missed !== undefined) this.#startOver();
    if (topic === "alerts") console.warn(`payments node: ${body?.kind}: ${body?.text}`);
    this.#refreshSoon();
  }

  /** The gateway's terms, from layer 1 and not from the node. */
  async #readTerms() {
    if (this.operator) return;
    const [operator, challenge, force, bond] = await Promise.all(["OPERATOR()", "CHALLENGE()", "FORCE()", "MIN_BOND()"].map((name) => this.#view(name)));
    if (!LOCAL_CHAINS.includes(this.domain.chainId)) {
      if (BigInt(challenge) < MIN_CHALLENGE) this.warning = `this gateway leaves only ${BigInt(challenge)} s to contest a false batch`;
      else if (BigInt(force) < MIN_FORCE) this.warning = `this gateway calls a forced exit overdue after ${BigInt(force)} s already`;
      else if (BigInt(bond) < MIN_BOND) this.warning = `the operator's bond may be as low as ${BigInt(bond)} wei`;
    }
    this.operator = "0x" + operator.slice(-40);
  }

  /** A view of the gateway; gives the answer's words. @param {string} signature @param {(string | bigint)[]} args @returns {Promise<string>} */
  #view(signature, ...args) {
    const data = selector(signature) + abi(...args).slice(2);
    return this.layer1.request({ method: "eth_call", params: [{ to: this.domain.gateway, data }, "latest"] });
  }

  /** The account as the node tells it, its proof checked against layer 1's root. @param {WalletAccount} account */
  async #leaf(account) {
    const { address } = account;
    const taken = this.taken.get(address);
    const leaf = await this.node.call("l2_getAccount", [address]);
    await this.#check(account, leaf);
    if (taken === this.taken.get(address)) this.current.add(address);
    // A message was taken meanwhile: what was advanced here is newer than what the node said.
    else if (this.current.has(address)) leaf.pending = this.leaves.get(address).pending;
    this.leaves.set(address, leaf);
    const posted = this.leaving.get(account.address);
    // From here on the node knows it: it says exitWaiting until the exit is served.
    if (posted && posted.nonce >= 0n && (leaf.exitWaiting || BigInt(leaf.nonce) > posted.nonce)) this.leaving.delete(account.address);
    return leaf;
  }

  /** Sets `leaf.verified`; throws when the node lies. @param {WalletAccount} account @param {any} leaf */
  async #check(account, leaf) {
    const known = this.leaves.get(account.address);
    if (known && known.verified && known.root === leaf.root && known.batch === leaf.batch) {
      leaf.verified = ["balance", "withdrawn", "nonce", "head"].every((name) => leaf[name] === known[name]);
      if (leaf.verified) return;
    }
    const { proof } = leaf;
    const consistent = ["balance", "withdrawn", "nonce", "head"].every((name) => String(proof[name]) === String(leaf[name]));
    if (!consistent || rootOf(account.address, proof) !== leaf.root) {
      throw new PaymentsError(code.REJECTED, `the node's proof for ${account.address} does not fit: do not trust this node`);
    }
    if (leaf.batch === "0") {
      leaf.verified = leaf.root === ZERO_WORD;
      return;
    }
    // batches(id) gives (commitment, root, time, inboxEnd). The endpoint may be a block behind the node: not proven yet, no lie.
    const words = await this.#view("batches(uint256)", BigInt(leaf.batch)).catch(() => "0x");
    leaf.verified = "0x" + words.slice(66, 130) === leaf.root;
  }

  #refreshSoon() {
    if (!this.node.connected && !this.node.opening) return;
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
        this.finalBatch = BigInt(status.final);
        this.halted = status.halted === true;
        for (const account of this.accounts) {
          await this.#leaf(account);
          await this.#follow(account);
        }
        await this.#settle();
        await this.#prune();
        this.whole = generation;
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
      if (!page.more) return;
    }
  }

  /** Moves what was sent along its stages, also backwards. */
  async #settle() {
    const places = new Map();
    for (const { entries } of this.history.values()) {
      for (const entry of entries) if (entry.id) places.set(entry.id.toLowerCase(), entry);
    }
    for (const outgoing of this.outbox.values()) {
      const place = places.get(outgoing.messageId.toLowerCase());
      let { stage } = outgoing;
      if (place) stage = this.#finality(place);
      else if (stage === "soft" || stage === "sequenced" || stage === "final") {
        const found = await this.node.call("l2_getMessage", [outgoing.messageId]).catch((error) => {
          if (error.code === code.NOT_FOUND) return null;
          throw error;
        });
        // Not known any more (another operator's database, a roll-back): say it again.
        stage = !found ? "signed" : found.state === "superseded" ? "superseded" : found.state === "pending" ? "soft" : found.state;
      } else if (stage === "refused" && BigInt(this.leaves.get(this.#addressOf(outgoing))?.nonce ?? 0) > BigInt(outgoing.message.nonce)) {
        stage = "superseded";
      }
      if (stage !== outgoing.stage) await this.#save({ ...outgoing, stage });
      if (stage === "signed") {
        await this.#inTurn(outgoing.message.from, () => this.#resend(outgoing.message.from));
      }
    }
  }

  /** Old payments that are settled leave the database; layer 1 has them. */
  async #prune() {
    const settled = [...this.outbox.values()].filter(({ stage }) => stage === "final" || stage === "superseded");
    if (settled.length <= KEPT) return;
    settled.sort((a, b) => a.createdAt - b.createdAt);
    for (const { key } of settled.slice(0, settled.length - KEPT)) {
      await this.wallet.deleteFromLocalDb(key);
      this.outbox.delete(key);
    }
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
    setTimeout(() => {
      this.#refreshSoon();
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
      if (!leaf) return { index, address, balance: 0n, withdrawn: 0n, claimed: 0n, nonce: 0n, head: ZERO_WORD, finality: "unknown", verified: false, depositsWaiting: 0n };
      const soft = leaf.pending.nonce !== leaf.nonce || leaf.pending.balance !== leaf.balance;
      return {
        index, address, balance: BigInt(leaf.pending.balance), withdrawn: BigInt(leaf.withdrawn), claimed: BigInt(leaf.claimed ?? 0),
        nonce: BigInt(leaf.pending.nonce), head: leaf.pending.head, finality: soft ? "soft" : leaf.finality, verified: leaf.verified === true,
        depositsWaiting: BigInt(leaf.depositsWaiting ?? 0),
      };
    });
    const { connected, error } = this.node;
    const node = { connected, error, halted: this.halted, warning: this.warning };
    if (this.whole !== this.generation && this.published) return { node };
    this.published = true;
    return {
      balance: accounts.reduce((sum, { balance }) => sum + balance, 0n),
      accounts,
      payments: this.#payments(),
      withdrawals: this.#withdrawals(),
      node,
    };
  }

  /** Newest first: what was sent from here, then what came in or was sent from another copy of these keys. */
  #payments() {
    const own = new Set();
    const list = [...this.outbox.values()]
      .filter(({ message }) => message.kind === "payment")
      .map(({ reference, message, messageId, stage, error, createdAt }) => {
        own.add(messageId.toLowerCase());
        return { reference, direction: "out", from: message.from, to: message.to, value: BigInt(message.value), messageId, stage, ...(error ? { error } : {}), at: createdAt };
      })
      .sort((a, b) => b.at - a.at);
    const rest = [];
    for (const [address, { entries }] of this.history) {
      for (const entry of entries) {
        if (entry.kind !== "payment") continue;
        const incoming = same(entry.to, address);
        if (!incoming && own.has(entry.id.toLowerCase())) continue;
        rest.push({ reference: "", direction: incoming ? "in" : "out", from: entry.from, to: entry.to, value: BigInt(entry.value), messageId: entry.id, stage: this.#finality(entry), batch: BigInt(entry.place.batch) });
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
    return requested.concat(list).slice(0, SHOWN);
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
    await this.wallet.persist(outgoing.key, outgoing);
    this.outbox.set(outgoing.key, outgoing);
    this.#publishSoon();
  }

  /** @param {any} request */
  async #saveRequest(request) {
    await this.wallet.persist(request.key, request);
    this.requests.set(request.key, request);
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
