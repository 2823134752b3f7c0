// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ILayer2Gateway} from "./ILayer2Gateway.sol";
import {Signatures} from "./Signatures.sol";
import {Transition} from "./Transition.sol";
import {Tree} from "./Tree.sol";
import {
    BadWitness,
    CHUNK_LIMIT,
    CHUNK_SIZE,
    ITEM_DEPOSIT,
    ITEM_FORCED_EXIT,
    ITEM_POSTED_WITHDRAW,
    Item,
    Opening,
    Preimage,
    RECORD_BYTES,
    Witness
} from "./Types.sol";

/// @title Entresol Payments: the layer-1 end of a payments layer 2
/// @notice ETH enters by `deposit`, is paid around by signed messages that the operator writes into batches on this
/// chain, and leaves by `claim`. The operator claims a state root per chunk of a batch; anyone can recompute one chunk
/// by `contest`, and a false root costs the operator its bond and takes the batch and all later ones down. Whoever the
/// operator ignores asks through the inbox; an ignored inbox halts the gateway, and everyone leaves by themselves.
///
/// Words. *Standing*: id < nextId; nothing may be read of any other id, whose slot can hold a fallen batch.
/// *Contestable*: standing, not genesis, now < time + CHALLENGE. *Final*: standing and now >= time + CHALLENGE; a final
/// batch never falls. *Overdue*: an inbox item that no standing batch consumed in time.
/// @dev No owner, no upgrade, no pause. Ids, times and lengths are far below 2^64, sums of wei far below 2^128.
contract PaymentsGateway is ILayer2Gateway {
    // ---- Types ----

    /// @dev What is stored of a batch. Everything else is in the preimage, which the challenger brings.
    struct Batch {
        bytes32 commitment;
        /// Root after its last chunk.
        bytes32 root;
        uint64 time;
        uint64 inboxEnd;
        /// `rewardCount` when it was submitted: the rewards from there on belong to contests of later ids.
        uint64 rewards;
    }

    /// @dev Slot i belongs to item i.
    struct Entry {
        /// The accumulator after this item, accumulator(i + 1).
        bytes32 accumulator;
        uint128 value;
        uint64 time;
        uint8 kind;
        bool reclaimed;
        /// Whom a deposit is for; not stored for other kinds.
        address to;
    }

    /// @dev Half of a slashed bond, waiting for batch id - 1 to be final.
    struct Reward {
        address challenger;
        uint64 id;
        bool paid;
        uint128 amount;
        /// Sum of the amounts up to this one, so that any number of them is taken over in one step.
        uint128 total;
    }

    // ---- Events ----

    /// @notice An item entered the inbox. Carries every field of its hash, so that fraud over items can be proven
    /// from layer 1 alone.
    event InboxItem(
        uint64 indexed index,
        uint8 kind,
        address indexed who,
        uint128 value,
        uint128 fee,
        uint64 time,
        bytes32 messageId,
        address depositor
    );
    /// @notice A batch stands. Its data is the input of this top-level transaction; `root` is its last chunk's.
    event BatchSubmitted(
        uint256 indexed id, bytes32 commitment, address proposer, uint64 inboxStart, uint64 inboxEnd, bytes32 root
    );
    /// @notice Batch `id` and all after it fell: the root of `chunk` is `correctRoot`, not `claimedRoot`.
    event Contested(
        uint256 indexed id, address indexed challenger, uint256 chunk, bytes32 claimedRoot, bytes32 correctRoot
    );
    /// @notice What the contest of `id` cost the operator. `escrowed` includes what was taken over from contests of
    /// later ids; it is 0, and `reward` without meaning, when no bond was left.
    event BondSlashed(uint256 indexed id, uint256 burned, uint256 escrowed, uint256 reward);
    /// @notice An escrowed reward was paid.
    event RewardCollected(uint256 indexed reward, address indexed challenger, uint256 amount);
    /// @notice `amount` wei left for `recipient`; `account` has claimed `total` in all.
    event Claimed(
        address indexed account, address indexed recipient, uint256 amount, uint256 total, uint256 batch
    );
    /// @notice For ever. `index` is the overdue item.
    event Halted(uint64 index);
    /// @notice An unconsumed deposit went to the account it was meant for.
    event DepositReclaimed(uint64 indexed index, address indexed to, uint256 value);
    /// @notice The bond grew by `amount` to `total`.
    event Bonded(uint256 amount, uint256 total);
    /// @notice The whole bond was paid back.
    event Unbonded(uint256 amount);

    // ---- Errors (BadWitness is in Types.sol) ----

    /// @notice A constructor parameter outside its bounds, by name.
    error BadParameter(string name);
    /// @notice Only the operator may do this.
    error NotOperator(address caller);
    /// @notice Batches come from a plain account, as a top-level transaction.
    error NotPlainAccount(address caller);
    /// @notice The gateway is halted.
    error IsHalted();
    /// @notice Only once the gateway is halted.
    error NotHalted();
    /// @notice No such batch stands.
    error NotStanding(uint256 id);
    /// @notice The batch's challenge window is over, or it is genesis.
    error NotContestable(uint256 id);
    /// @notice The batch's challenge window is not over.
    error NotFinal(uint256 id);
    /// @notice After a halt claims use the last standing batch only.
    error NotLastStanding(uint256 id, uint256 last);
    /// @notice The batch does not continue the last standing one, `expected`.
    error WrongId(uint256 id, uint256 expected);
    /// @notice `previousCommitment` is not the last standing batch's.
    error WrongPrevious(bytes32 expected);
    /// @notice The inbox range ends before it starts or beyond the inbox.
    error WrongInboxEnd(uint64 inboxEnd, uint64 start, uint64 length);
    /// @notice The accumulator at `inboxEnd` is another: a reorganisation changed the inbox.
    error WrongAccumulator(bytes32 expected);
    /// @notice The calldata is not the canonical encoding.
    error NotCanonical();
    /// @notice The batch holds neither items nor messages.
    error EmptyBatch();
    /// @notice Records are not a multiple of 122 bytes, or the roots are not one per chunk, or too many.
    error WrongShape(uint256 expectedRoots, uint256 roots);
    /// @notice The bond is below MIN_BOND.
    error BondTooLow(uint256 bond, uint256 minimum);
    /// @notice The oldest unserved item is overdue: the gateway can only be halted.
    error Overdue(uint64 index);
    /// @notice The oldest unserved item is not overdue.
    error NotOverdue(uint64 index);
    /// @notice The preimage is not the standing batch's.
    error WrongPreimage();
    /// @notice There is no such chunk in the batch.
    error WrongChunk(uint256 chunk, uint256 chunks);
    /// @notice An opening does not match the batch's leaf or the previous batch's root.
    error WrongOpening();
    /// @notice The items are not those of the chunk.
    error WrongItems();
    /// @notice The claimed root is right.
    error NotFraud();
    /// @notice A signature is malformed or not the account's.
    error BadSignature();
    /// @notice Zero address where an account is needed.
    error ZeroAddress();
    /// @notice No value, or more than 2^128 - 1 wei.
    error BadValue(uint256 value);
    /// @notice The empty form of requestWithdrawPayment is for the caller's own account.
    error NotYours(address from, address caller);
    /// @notice latestMessage is not `abi.encode(value, fee, nonce, prev, r, s, v)` (224 bytes) or a field is out of range.
    error BadMessage();
    /// @notice Everything owed at this batch is claimed.
    error NothingToClaim(uint256 due, uint256 claimed);
    /// @notice There is no such inbox item.
    error NoSuchItem(uint64 index);
    /// @notice The item is no deposit, was consumed by a batch, or is reclaimed.
    error NotReclaimable(uint64 index);
    /// @notice There is no such reward, or it was paid.
    error NoSuchReward(uint256 reward);
    /// @notice The recipient refused the ETH.
    error PaymentRefused(address recipient);
    /// @notice A payment is under way.
    error Reentered();

    // ---- Parameters ----

    /// @notice The only account that may submit batches.
    address public immutable OPERATOR;
    /// @notice Seconds during which a batch can be contested.
    uint64 public immutable CHALLENGE;
    /// @notice Seconds within which an inbox item must be consumed.
    uint64 public immutable FORCE;
    /// @notice Wei of bond without which no batch is accepted.
    uint128 public immutable MIN_BOND;
    /// @notice EIP-712 domain of all messages.
    bytes32 public immutable DOMAIN_SEPARATOR;
    /// @dev The chain of the deployment. Kept, as the domain is: should the chain split, the rules of standing batches
    /// must not change on either side.
    uint256 private immutable CHAIN_ID;

    /// @notice The most messages, and the most inbox items, in one chunk.
    uint256 public constant MAX_CHUNK = CHUNK_SIZE;
    /// @notice The most chunks in one batch.
    uint256 public constant MAX_CHUNKS = CHUNK_LIMIT;
    /// @notice Bytes of a message record.
    uint256 public constant RECORD_SIZE = RECORD_BYTES;

    // ---- State ----

    /// @notice The id that the next batch must have. Falls when a batch falls. Batch 0 is the empty genesis.
    uint256 public nextId = 1;
    mapping(uint256 id => Batch) private _batches;

    /// @notice Number of items that ever entered the inbox.
    uint64 public inboxLength;
    /// @dev Items below this index are not overdue before _floor + FORCE.
    uint64 private _graceEnd;
    /// @dev When the latest grace was given.
    uint64 private _floor;
    /// @notice Once true, only contests, claims, reclaims, rewards and unbonding go on, for ever.
    bool public halted;
    mapping(uint256 index => Entry) private _inbox;

    /// @notice Wei ever paid out for an account's withdrawals.
    mapping(address account => uint256) public claimed;
    /// @inheritdoc ILayer2Gateway
    mapping(address account => uint256) public lockedBalance;

    uint128 private _bond;
    /// @notice Number of rewards in escrow or paid. Falls when a contest takes over those of later ids.
    uint64 public rewardCount;
    mapping(uint256 reward => Reward) private _rewards;

    /// @dev Set while ETH is being paid out.
    bool private transient _paying;

    /// @dev No second payment while one is under way. All effects precede payments anyway; this is the second lock.
    modifier paying() {
        if (_paying) revert Reentered();
        _paying = true;
        _;
        _paying = false;
    }

    modifier running() {
        if (halted) revert IsHalted();
        _;
    }

    modifier standing(uint256 id) {
        if (id >= nextId) revert NotStanding(id);
        _;
    }

    /// @param operator Submits batches; not zero (an open operator is for a later version).
    /// @param challenge Seconds, 1 s to 60 d; at least 7 d outside the local chains 1337 and 31337.
    /// @param force Seconds, 1 s to 60 d; at least 24 h outside the local chains.
    /// @param minBond Wei; at least 2.4 ETH outside the local chains.
    constructor(address operator, uint64 challenge, uint64 force, uint128 minBond) {
        bool local = block.chainid == 1337 || block.chainid == 31337;
        if (operator == address(0)) revert BadParameter("operator");
        if (challenge < (local ? 1 seconds : 7 days) || challenge > 60 days) revert BadParameter("challenge");
        if (force < (local ? 1 seconds : 24 hours) || force > 60 days) revert BadParameter("force");
        if (minBond < (local ? 0 : 2.4 ether)) revert BadParameter("minBond");
        OPERATOR = operator;
        CHALLENGE = challenge;
        FORCE = force;
        MIN_BOND = minBond;
        CHAIN_ID = block.chainid;
        DOMAIN_SEPARATOR = Signatures.domainSeparator(address(this));
    }

    // ---- Entering, and asking to leave ----

    /// @inheritdoc ILayer2Gateway
    function deposit(address to) external payable running returns (uint256 index) {
        if (to == address(0)) revert ZeroAddress();
        if (msg.value == 0 || msg.value > type(uint128).max) revert BadValue(msg.value);
        lockedBalance[to] += msg.value;
        index = _enter(ITEM_DEPOSIT, to, uint128(msg.value), 0, 0);
        _inbox[index].to = to;
        emit Deposited(msg.sender, to, msg.value, index);
    }

    /// @notice Asks for value back through the inbox, which the operator cannot ignore.
    /// @param from Whose value; the caller when `latestMessage` is empty.
    /// @param latestMessage Empty: everything that `from` owns when the item is consumed, always effective. Else
    /// abi.encode(uint256 value, uint256 fee, uint64 nonce, bytes32 prev, bytes32 r, bytes32 s, uint8 v) of a signed
    /// Withdraw, postable by anyone, effective if it is the account's next message then. Its fee is not charged.
    /// @return index Place in the inbox.
    function requestWithdrawPayment(address from, bytes calldata latestMessage)
        external
        running
        returns (uint256 index)
    {
        if (latestMessage.length == 0) {
            if (from != msg.sender) revert NotYours(from, msg.sender);
            return _enter(ITEM_FORCED_EXIT, from, 0, 0, 0);
        }
        if (latestMessage.length != 7 * 32) revert BadMessage();
        (uint256 value, uint256 fee, uint256 nonce, bytes32 prev, bytes32 r, bytes32 s, uint256 v) =
            abi.decode(latestMessage, (uint256, uint256, uint256, bytes32, bytes32, bytes32, uint256));
        if (value > type(uint128).max || fee > type(uint128).max) revert BadMessage();
        if (nonce > type(uint64).max || v > type(uint8).max) revert BadMessage();
        bytes32 id = Signatures.withdrawId(from, value, fee, uint64(nonce), prev);
        if (!Signatures.isSignedBy(from, DOMAIN_SEPARATOR, id, r, s, uint8(v))) revert BadSignature();
        return _enter(ITEM_POSTED_WITHDRAW, from, uint128(value), uint128(fee), id);
    }

    /// @inheritdoc ILayer2Gateway
    function requestExit() external running returns (uint256 index) {
        return _enter(ITEM_FORCED_EXIT, msg.sender, 0, 0, 0);
    }

    // ---- Batches ----

    /// @notice Writes a batch: inbox items from the last standing batch's inboxEnd up to `inboxEnd`, then messages.
    /// @dev Only from a plain account, as a top-level transaction in the one canonical encoding: so every replica finds
    /// the data in the transaction's input, at fixed offsets.
    /// @param id The next id. A batch that was built on another past fails here instead of landing elsewhere.
    /// @param previousCommitment Commitment of the last standing batch.
    /// @param inboxEnd One past the last inbox item that the batch consumes; the last standing batch's to consume none.
    /// @param accumulator_ The accumulator at `inboxEnd`: a reorganisation of the inbox makes this revert, later items
    /// never do.
    /// @param roots The root after each chunk.
    /// @param records 122 bytes a message; chunk j holds records 8j to 8j + 7, only the last is shorter.
    function submitBatch(
        uint256 id,
        bytes32 previousCommitment,
        uint64 inboxEnd,
        bytes32 accumulator_,
        bytes32[] calldata roots,
        bytes calldata records
    ) external running {
        if (msg.sender != OPERATOR) revert NotOperator(msg.sender);
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotPlainAccount(msg.sender);
        _requireCanonical(roots.length, records.length);
        if (_bond < MIN_BOND) revert BondTooLow(_bond, MIN_BOND);
        if (id != nextId) revert WrongId(id, nextId);
        Batch storage previous = _batches[id - 1];
        if (previousCommitment != previous.commitment) revert WrongPrevious(previous.commitment);

        uint64 inboxStart = previous.inboxEnd;
        if (inboxEnd < inboxStart || inboxEnd > inboxLength) {
            revert WrongInboxEnd(inboxEnd, inboxStart, inboxLength);
        }
        if (accumulator_ != _accumulator(inboxEnd)) revert WrongAccumulator(_accumulator(inboxEnd));
        if (_isOverdue(inboxStart)) revert Overdue(inboxStart);

        bytes32 commitment = _commitment(
            id, previousCommitment, msg.sender, inboxStart, inboxEnd, _leaves(inboxEnd - inboxStart, roots, records)
        );
        bytes32 root = roots[roots.length - 1];
        _batches[id] = Batch(commitment, root, uint64(block.timestamp), inboxEnd, rewardCount);
        nextId = id + 1;
        emit BatchSubmitted(id, commitment, msg.sender, inboxStart, inboxEnd, root);
    }

    /// @notice Proves that the root which a contestable batch claims for one chunk is false. The batch and all later
    /// ones fall, half of the bond is burned, half is the challenger's once batch id - 1 is final. Works after a halt,
    /// and with no bond left.
    /// @param batch What the batch's commitment is made of.
    /// @param chunk Number of the chunk in the batch, inbox chunks first.
    /// @param previous Opening of the chunk before; for chunk 0 data hash 0 and the root of batch id - 1.
    /// @param claimedRoot The root that the batch claims for this chunk.
    /// @param items The items of an inbox chunk, else none.
    /// @param records The records of a message chunk, else none.
    /// @param witnesses The leaves that the chunk touches, each against the root as it is then. Per record its sender,
    /// then for a valid payment the recipient; at the end the proposer if there are fees. Per item its account.
    function contest(
        Preimage calldata batch,
        uint256 chunk,
        Opening calldata previous,
        bytes32 claimedRoot,
        Item[] calldata items,
        bytes calldata records,
        Witness[] calldata witnesses
    ) external standing(batch.id) {
        if (!_isContestable(batch.id)) revert NotContestable(batch.id);
        _requirePreimage(batch, chunk);
        _requirePrevious(batch, chunk, previous);
        bytes32 correctRoot;
        if (chunk < _chunks(batch.inboxEnd - batch.inboxStart)) {
            if (records.length != 0) revert WrongItems();
            _requireLeaf(batch, chunk, 0, claimedRoot);
            correctRoot = _applyItems(batch, chunk, previous.root, items, witnesses);
        } else {
            if (items.length != 0) revert WrongItems();
            _requireLeaf(batch, chunk, keccak256(records), claimedRoot);
            correctRoot =
                Transition.applyMessages(DOMAIN_SEPARATOR, previous.root, batch.proposer, records, witnesses);
        }
        if (correctRoot == claimedRoot) revert NotFraud();
        emit Contested(batch.id, msg.sender, chunk, claimedRoot, correctRoot);
        _rollBack(batch.id);
        _slash(batch.id);
    }

    /// @notice Pays a challenger's reward out, once the batch before the contested one is final. Anyone may call.
    /// @param reward Its number, from BondSlashed.
    function collectReward(uint256 reward) external paying {
        if (reward >= rewardCount) revert NoSuchReward(reward);
        Reward storage entry = _rewards[reward];
        if (entry.paid) revert NoSuchReward(reward);
        uint256 before = entry.id - 1;
        if (!isFinal(before)) revert NotFinal(before);
        entry.paid = true;
        emit RewardCollected(reward, entry.challenger, entry.amount);
        _pay(entry.challenger, entry.amount);
    }

    // ---- Leaving ----

    /// @notice Pays what an account's withdrawals have grown beyond what it claimed; after a halt its balance too.
    /// Anyone may call: the money goes to the account, or to the recipient that it named.
    /// @param batch A final batch; after a halt the last standing one.
    /// @param witness The account's leaf in that batch.
    /// @param recipient The account itself; or anyone, if the account calls or has signed for it.
    /// @param signature Of ClaimTo(account, recipient, claimedBefore, claimedAfter), r | s | v, only read if needed.
    /// It is good for the one claim that raises `claimed` from exactly claimedBefore to exactly claimedAfter.
    function claim(uint256 batch, Witness calldata witness, address recipient, bytes calldata signature)
        external
        paying
    {
        if (!isFinal(batch)) revert NotFinal(batch);
        if (halted && batch != nextId - 1) revert NotLastStanding(batch, nextId - 1);
        if (recipient == address(0)) revert ZeroAddress();
        address account = witness.account;
        Tree.read(witness, account, _batches[batch].root, 0);

        uint256 due = witness.withdrawn;
        if (halted) due += witness.balance;
        uint256 before = claimed[account];
        if (due <= before) revert NothingToClaim(due, before);
        if (recipient != account && msg.sender != account) {
            _requireClaimTo(account, recipient, before, due, signature);
        }
        claimed[account] = due;
        emit Claimed(account, recipient, due - before, due, batch);
        _pay(recipient, due - before);
    }

    /// @notice Halts the gateway for ever, if its oldest unserved inbox item is overdue. Anyone may call.
    function halt() external running {
        uint64 index = inboxCursor();
        if (!_isOverdue(index)) revert NotOverdue(index);
        halted = true;
        emit Halted(index);
    }

    /// @notice After a halt, pays a deposit that no standing batch consumed to the account it was meant for. Once;
    /// anyone may call.
    /// @param index The deposit's place in the inbox.
    function reclaimDeposit(uint64 index) external paying {
        if (!halted) revert NotHalted();
        if (index >= inboxLength) revert NoSuchItem(index);
        Entry storage entry = _inbox[index];
        if (entry.kind != ITEM_DEPOSIT || index < inboxCursor() || entry.reclaimed) revert NotReclaimable(index);
        entry.reclaimed = true;
        lockedBalance[entry.to] -= entry.value;
        emit DepositReclaimed(index, entry.to, entry.value);
        _pay(entry.to, entry.value);
    }

    // ---- The operator's bond ----

    /// @notice Adds the call's value to the bond.
    function bond() external payable running {
        if (msg.sender != OPERATOR) revert NotOperator(msg.sender);
        if (msg.value == 0 || msg.value > type(uint128).max - _bond) revert BadValue(msg.value);
        _bond += uint128(msg.value);
        emit Bonded(msg.value, _bond);
    }

    /// @notice Pays the whole bond back, once every standing batch is final.
    function unbond() external paying {
        if (msg.sender != OPERATOR) revert NotOperator(msg.sender);
        if (!isFinal(nextId - 1)) revert NotFinal(nextId - 1);
        uint128 amount = _bond;
        if (amount == 0) revert BadValue(0);
        _bond = 0;
        emit Unbonded(amount);
        _pay(OPERATOR, amount);
    }

    // ---- Views ----

    /// @notice What is stored of a standing batch; genesis is all zero.
    /// @param id The batch.
    /// @return commitment Of its preimage.
    /// @return root After its last chunk.
    /// @return time When it was submitted, unix seconds.
    /// @return inboxEnd One past the last inbox item that it and all before it consumed.
    function batches(uint256 id)
        external
        view
        standing(id)
        returns (bytes32 commitment, bytes32 root, uint64 time, uint64 inboxEnd)
    {
        Batch storage batch = _batches[id];
        return (batch.commitment, batch.root, batch.time, batch.inboxEnd);
    }

    /// @notice Whether a standing batch is past its challenge window. Genesis always is.
    /// @param id A standing batch.
    /// @return Whether nothing can take it down any more.
    function isFinal(uint256 id) public view standing(id) returns (bool) {
        return !_isContestable(id);
    }

    /// @notice Whether a standing batch is within its challenge window. Genesis never is.
    /// @param id A standing batch.
    /// @return Whether contest hears of it.
    function isContestable(uint256 id) external view standing(id) returns (bool) {
        return _isContestable(id);
    }

    /// @notice The newest final batch.
    /// @return Its id; 0 is genesis.
    /// @dev Binary search: times never fall along ids.
    function finalisedId() public view returns (uint256) {
        uint256 low;
        uint256 high = nextId - 1;
        while (low < high) {
            uint256 middle = (low + high + 1) / 2;
            if (_isContestable(middle)) high = middle - 1;
            else low = middle;
        }
        return low;
    }

    /// @notice Index of the oldest item that no standing batch consumed; inboxLength if there is none.
    /// @return The index.
    function inboxCursor() public view returns (uint64) {
        return _batches[nextId - 1].inboxEnd;
    }

    /// @notice The accumulator over the first `index` items.
    /// @param index From 0 to inboxLength.
    /// @return The accumulator; 0 over none.
    function accumulator(uint64 index) external view returns (bytes32) {
        if (index > inboxLength) revert NoSuchItem(index);
        return _accumulator(index);
    }

    /// @notice What is stored of an item.
    /// @param index Its place in the inbox.
    /// @return kind 1 deposit, 2 forced exit, 3 posted withdrawal.
    /// @return value Wei.
    /// @return time When it entered, unix seconds.
    /// @return to Whom a deposit is for; zero for other kinds.
    /// @return reclaimed Whether the deposit was paid back after a halt.
    function inboxItem(uint64 index)
        external
        view
        returns (uint8 kind, uint128 value, uint64 time, address to, bool reclaimed)
    {
        if (index >= inboxLength) revert NoSuchItem(index);
        Entry storage entry = _inbox[index];
        return (entry.kind, entry.value, entry.time, entry.to, entry.reclaimed);
    }

    /// @notice The oldest unserved item, and until when the operator has time for it.
    /// @return index The item; inboxLength if there is none.
    /// @return time The last second in which it is not overdue, unix; 0 if there is none.
    function dueTime() external view returns (uint64 index, uint64 time) {
        index = inboxCursor();
        if (index < inboxLength) time = _dueTime(index);
    }

    /// @notice Items below `end` are not overdue before `floor` + FORCE.
    /// @return floor When the latest grace was given, unix seconds.
    /// @return end One past the last item that it is for.
    function grace() external view returns (uint64 floor, uint64 end) {
        return (_floor, _graceEnd);
    }

    /// @notice The operator's bond.
    /// @return Wei.
    function bondBalance() external view returns (uint256) {
        return _bond;
    }

    /// @notice A challenger's reward.
    /// @param reward Its number, below rewardCount.
    /// @return challenger To whom it goes.
    /// @return id The batch that was contested.
    /// @return amount Wei.
    /// @return paid Whether it was collected.
    function rewards(uint256 reward)
        external
        view
        returns (address challenger, uint256 id, uint256 amount, bool paid)
    {
        if (reward >= rewardCount) revert NoSuchReward(reward);
        Reward storage entry = _rewards[reward];
        return (entry.challenger, entry.id, entry.amount, entry.paid);
    }

    /// @notice ERC-165.
    /// @param interfaceId The exclusive or of an interface's selectors.
    /// @return Whether it is ERC-165's own or ILayer2Gateway's.
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == 0x01ffc9a7 || interfaceId == type(ILayer2Gateway).interfaceId;
    }

    // ---- Inbox ----

    function _enter(uint8 kind, address who, uint128 value, uint128 fee, bytes32 messageId)
        private
        returns (uint256)
    {
        uint64 index = inboxLength;
        uint64 time = uint64(block.timestamp);
        bytes32 hash = Transition.itemHash(index, Item(kind, who, value, fee, time, messageId, msg.sender));
        Entry storage entry = _inbox[index];
        entry.accumulator = keccak256(abi.encode(_accumulator(index), hash));
        entry.value = value;
        entry.time = time;
        entry.kind = kind;
        inboxLength = index + 1;
        emit InboxItem(index, kind, who, value, fee, time, messageId, msg.sender);
        return index;
    }

    function _accumulator(uint64 index) private view returns (bytes32) {
        return index == 0 ? bytes32(0) : _inbox[index - 1].accumulator;
    }

    function _dueTime(uint64 index) private view returns (uint64) {
        uint64 time = _inbox[index].time;
        if (index < _graceEnd && time < _floor) time = _floor;
        return time + FORCE;
    }

    function _isOverdue(uint64 index) private view returns (bool) {
        return index < inboxLength && block.timestamp > _dueTime(index);
    }

    // ---- Batches and contests ----

    /// @dev Only for standing ids.
    function _isContestable(uint256 id) private view returns (bool) {
        return id != 0 && block.timestamp < uint256(_batches[id].time) + CHALLENGE;
    }

    /// @dev The ABI decoder takes aliased, overlapping and padded data; a replica must not have to.
    function _requireCanonical(uint256 roots, uint256 records) private pure {
        uint256 recordsAt = 7 * 32 + 32 * roots;
        uint256 end = 4 + recordsAt + 32 + (records + 31) / 32 * 32;
        if (msg.data.length != end) revert NotCanonical();
        if (uint256(bytes32(msg.data[4 + 4 * 32:])) != 6 * 32) revert NotCanonical();
        if (uint256(bytes32(msg.data[4 + 5 * 32:])) != recordsAt) revert NotCanonical();
        uint256 tail = records % 32;
        if (tail != 0 && bytes32(msg.data[end - 32:]) << (8 * tail) != 0) revert NotCanonical();
    }

    function _leaves(uint256 items, bytes32[] calldata roots, bytes calldata records)
        private
        pure
        returns (bytes32[] memory leaves)
    {
        uint256 inboxChunks = _chunks(items);
        uint256 expected = inboxChunks + _chunks(records.length / RECORD_BYTES);
        if (items == 0 && records.length == 0) revert EmptyBatch();
        if (records.length % RECORD_BYTES != 0 || roots.length != expected || expected > CHUNK_LIMIT) {
            revert WrongShape(expected, roots.length);
        }
        leaves = new bytes32[](expected);
        for (uint256 i; i < expected; ++i) {
            bytes32 dataHash;
            if (i >= inboxChunks) {
                uint256 from = (i - inboxChunks) * CHUNK_SIZE * RECORD_BYTES;
                dataHash = keccak256(records[from:_min(from + CHUNK_SIZE * RECORD_BYTES, records.length)]);
            }
            leaves[i] = keccak256(abi.encode(dataHash, roots[i]));
        }
    }

    function _commitment(
        uint256 id,
        bytes32 previousCommitment,
        address proposer,
        uint64 inboxStart,
        uint64 inboxEnd,
        bytes32[] memory leaves
    ) private pure returns (bytes32) {
        return keccak256(abi.encode(id, previousCommitment, proposer, inboxStart, inboxEnd, leaves));
    }

    function _requirePreimage(Preimage calldata batch, uint256 chunk) private view {
        bytes32 commitment = _commitment(
            batch.id, batch.previousCommitment, batch.proposer, batch.inboxStart, batch.inboxEnd, batch.leaves
        );
        if (commitment != _batches[batch.id].commitment) revert WrongPreimage();
        if (chunk >= batch.leaves.length) revert WrongChunk(chunk, batch.leaves.length);
    }

    function _requirePrevious(Preimage calldata batch, uint256 chunk, Opening calldata previous) private view {
        if (chunk > 0) {
            _requireLeaf(batch, chunk - 1, previous.dataHash, previous.root);
        } else if (previous.dataHash != 0 || previous.root != _batches[batch.id - 1].root) {
            revert WrongOpening();
        }
    }

    function _requireLeaf(Preimage calldata batch, uint256 chunk, bytes32 dataHash, bytes32 root) private pure {
        if (keccak256(abi.encode(dataHash, root)) != batch.leaves[chunk]) revert WrongOpening();
    }

    function _applyItems(
        Preimage calldata batch,
        uint256 chunk,
        bytes32 root,
        Item[] calldata items,
        Witness[] calldata witnesses
    ) private view returns (bytes32) {
        uint64 first = batch.inboxStart + uint64(chunk * CHUNK_SIZE);
        uint64 end = uint64(_min(first + CHUNK_SIZE, batch.inboxEnd));
        if (items.length != end - first) revert WrongItems();
        bytes32 reached;
        (root, reached) = Transition.applyItems(CHAIN_ID, root, _accumulator(first), first, items, witnesses);
        if (reached != _accumulator(end)) revert WrongItems();
        return root;
    }

    /// @dev Constant work, however many batches fall.
    function _rollBack(uint256 id) private {
        // What the fallen batches consumed may already be past FORCE, through no fault of its owners or of the next
        // honest batch: it gets FORCE anew. Only once an item: an operator could else put the halt off for ever by
        // contesting itself. Hence a new grace only when the last one's items are consumed for good.
        if (_batches[finalisedId()].inboxEnd >= _graceEnd) {
            _floor = uint64(block.timestamp);
            _graceEnd = inboxLength;
        }
        nextId = id;
    }

    /// @dev The whole bond goes: half is burned, so that an operator who contests itself loses at least that; half is
    /// escrowed. Rewards of contests of later ids are taken over: those contests may have been the operator's own, to
    /// empty the bond before the earlier fraud was proven. They are exactly the rewards made since this batch was
    /// submitted: before, ids above this one did not exist, and since, no lower or equal id fell. None of them is paid:
    /// that needed a final batch at or after this one.
    function _slash(uint256 id) private {
        uint128 total = _bond;
        uint128 escrowed = total / 2;
        uint128 burned = total - escrowed;
        _bond = 0;
        uint64 index = _batches[id].rewards;
        uint128 below = _rewardTotal(index);
        escrowed += _rewardTotal(rewardCount) - below;
        if (escrowed > 0) {
            _rewards[index] = Reward(msg.sender, uint64(id), false, escrowed, below + escrowed);
            rewardCount = index + 1;
        }
        emit BondSlashed(id, burned, escrowed, index);
        // Nothing may stop a contest, so the result does not matter: what stays here is just as lost.
        (bool sent,) = address(0).call{value: burned}("");
        sent;
    }

    /// @dev Sum of the first `count` rewards.
    function _rewardTotal(uint64 count) private view returns (uint128) {
        return count == 0 ? 0 : _rewards[count - 1].total;
    }

    // ---- Payments ----

    function _requireClaimTo(
        address account,
        address recipient,
        uint256 claimedBefore,
        uint256 claimedAfter,
        bytes calldata signature
    ) private view {
        if (signature.length != 65) revert BadSignature();
        bytes32 hash = Signatures.claimToHash(account, recipient, claimedBefore, claimedAfter);
        if (
            !Signatures.isSignedBy(
                account,
                DOMAIN_SEPARATOR,
                hash,
                bytes32(signature[:32]),
                bytes32(signature[32:64]),
                uint8(signature[64])
            )
        ) revert BadSignature();
    }

    /// @dev The last thing that a function does. What the recipient returns is not read.
    function _pay(address recipient, uint256 amount) private {
        bool sent;
        // Assembly, because Solidity copies returned data even when it is not named: a recipient that returns 1 MB made
        // a claim cost 4.21 M gas, so it costs 2.11 M, all of it the recipient's own.
        assembly ("memory-safe") {
            sent := call(gas(), recipient, amount, 0x00, 0x00, 0x00, 0x00)
        }
        if (!sent) revert PaymentRefused(recipient);
    }

    // ---- Numbers ----

    function _chunks(uint256 count) private pure returns (uint256) {
        return (count + CHUNK_SIZE - 1) / CHUNK_SIZE;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
