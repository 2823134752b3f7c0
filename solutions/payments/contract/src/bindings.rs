//! The Solidity signatures, read by alloy's `sol!`. Comments become the documentation of the generated types.

#![allow(clippy::too_many_arguments, reason = "the generated encoders take one argument per Solidity parameter")]

use alloy::sol;

sol! {
    /// What every entresol gateway offers, so that a wallet can use it without knowing its ABI. Its ERC-165 id is
    /// the exclusive or of the three selectors.
    #[derive(Debug, PartialEq, Eq)]
    interface ILayer2Gateway {
        /// `value` wei entered for layer-2 account `to`, as inbox item `index`.
        event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index);

        /// Pays in the call's value for layer-2 account `to`; returns the inbox index.
        function deposit(address to) external payable returns (uint256 index);
        /// Forces everything that the caller owns on layer 2 out; returns the inbox index.
        function requestExit() external returns (uint256 index);
        /// Wei deposited for `account` and not reclaimed. Informational: no rule reads it.
        function lockedBalance(address account) external view returns (uint256);
    }

    /// The gateway of the payments layer 2. Shapes and rules: `contracts/PaymentsGateway.sol`.
    #[derive(Debug, PartialEq, Eq)]
    contract PaymentsGateway {
        /// What `commitment` of a batch is made of, in this order:
        /// `keccak256(abi.encode(id, previousCommitment, proposer, inboxStart, inboxEnd, leaves))`.
        struct Preimage {
            uint256 id;
            bytes32 previousCommitment;
            address proposer;
            uint64 inboxStart;
            uint64 inboxEnd;
            bytes32[] leaves;
        }

        /// What one leaf of a batch is made of: `keccak256(abi.encode(dataHash, root))`.
        struct Opening {
            bytes32 dataHash;
            bytes32 root;
        }

        /// An inbox item without its index, as its event told it.
        struct Item {
            uint8 kind;
            address who;
            uint128 value;
            uint128 fee;
            uint64 time;
            bytes32 messageId;
            address depositor;
        }

        /// The leaf at the end of an account's path and the path's siblings, from the leaf upwards. `account` is whose
        /// leaf it is: its own, or a neighbour's, then it has none; all other fields zero: nothing lies there.
        struct Witness {
            address account;
            uint128 balance;
            uint128 withdrawn;
            uint64 nonce;
            bytes32 head;
            bytes32[] siblings;
        }

        /// An item entered the inbox. Carries every field of its hash.
        event InboxItem(uint64 indexed index, uint8 kind, address indexed who, uint128 value, uint128 fee, uint64 time, bytes32 messageId, address depositor);
        /// Standard event beside `InboxItem`, see [`ILayer2Gateway`].
        event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index);
        /// A batch stands; its data is the input of this top-level transaction. `root` is its last chunk's.
        event BatchSubmitted(uint256 indexed id, bytes32 commitment, address proposer, uint64 inboxStart, uint64 inboxEnd, bytes32 root);
        /// Batch `id` and all after it fell: the root of `chunk` is `correctRoot`, not `claimedRoot`.
        event Contested(uint256 indexed id, address indexed challenger, uint256 chunk, bytes32 claimedRoot, bytes32 correctRoot);
        /// What the contest of `id` cost the operator; `escrowed` includes escrows taken over from contests of later ids.
        event BondSlashed(uint256 indexed id, uint256 burned, uint256 escrowed, uint256 reward);
        /// An escrowed reward was paid.
        event RewardCollected(uint256 indexed reward, address indexed challenger, uint256 amount);
        /// `amount` wei left for `recipient`; `account` has claimed `total` in all.
        event Claimed(address indexed account, address indexed recipient, uint256 amount, uint256 total, uint256 batch);
        /// For ever: only contests, claims, reclaims, rewards and unbonding go on. `index` is the overdue item.
        event Halted(uint64 index);
        /// An unconsumed deposit went back to the account it was meant for.
        event DepositReclaimed(uint64 indexed index, address indexed to, uint256 value);
        /// The operator's bond grew by `amount` to `total`.
        event Bonded(uint256 amount, uint256 total);
        /// The whole bond was paid back.
        event Unbonded(uint256 amount);

        /// A constructor parameter outside its bounds, by name.
        error BadParameter(string name);
        /// Only the operator may do this.
        error NotOperator(address caller);
        /// Batches come from a plain account, as a top-level transaction.
        error NotPlainAccount(address caller);
        /// The gateway is halted.
        error IsHalted();
        /// Only once the gateway is halted.
        error NotHalted();
        /// No such batch stands.
        error NotStanding(uint256 id);
        /// The batch's challenge window is over, or it is genesis.
        error NotContestable(uint256 id);
        /// The batch's challenge window is not over.
        error NotFinal(uint256 id);
        /// After a halt claims use the last standing batch only.
        error NotLastStanding(uint256 id, uint256 last);
        /// The batch does not continue the last standing one, `expected`.
        error WrongId(uint256 id, uint256 expected);
        /// `previousCommitment` is not the last standing batch's.
        error WrongPrevious(bytes32 expected);
        /// The inbox range ends before it starts or beyond the inbox.
        error WrongInboxEnd(uint64 inboxEnd, uint64 start, uint64 length);
        /// The accumulator at `inboxEnd` is another: a reorganisation changed the inbox.
        error WrongAccumulator(bytes32 expected);
        /// The calldata is not the canonical encoding.
        error NotCanonical();
        /// The batch holds neither items nor messages.
        error EmptyBatch();
        /// Records are not a multiple of 122 bytes, or the roots are not one per chunk, or too many.
        error WrongShape(uint256 expectedRoots, uint256 roots);
        /// The bond is below MIN_BOND.
        error BondTooLow(uint256 bond, uint256 minimum);
        /// The oldest unserved item is overdue: the gateway can only be halted.
        error Overdue(uint64 index);
        /// The oldest unserved item is not overdue.
        error NotOverdue(uint64 index);
        /// The preimage is not the standing batch's.
        error WrongPreimage();
        /// There is no such chunk in the batch.
        error WrongChunk(uint256 chunk, uint256 chunks);
        /// An opening does not match the batch's leaf or the previous batch's root.
        error WrongOpening();
        /// The items are not those of the chunk.
        error WrongItems();
        /// A Merkle path does not lead to the root, or too few or too many witnesses were given. `number` counts from 0.
        error BadWitness(uint256 number);
        /// The claimed root is right.
        error NotFraud();
        /// A signature is malformed or not the account's.
        error BadSignature();
        /// Zero address where an account is needed.
        error ZeroAddress();
        /// No value, or more than 2^128 - 1 wei.
        error BadValue(uint256 value);
        /// The empty form of requestWithdrawPayment is for the caller's own account.
        error NotYours(address from, address caller);
        /// latestMessage is not `abi.encode(value, fee, nonce, prev, r, s, v)` (224 bytes) or a field is out of range.
        error BadMessage();
        /// Everything owed at this batch is claimed.
        error NothingToClaim(uint256 due, uint256 claimed);
        /// There is no such inbox item.
        error NoSuchItem(uint64 index);
        /// The item is no deposit, was consumed by a batch, or is reclaimed.
        error NotReclaimable(uint64 index);
        /// There is no such reward, or it was paid.
        error NoSuchReward(uint256 reward);
        /// The recipient refused the ETH.
        error PaymentRefused(address recipient);
        /// A payment is under way.
        error Reentered();

        constructor(address operator, uint64 challenge, uint64 force, uint128 minBond);

        // Entering and asking to leave.
        function deposit(address to) external payable returns (uint256 index);
        function requestWithdrawPayment(address from, bytes calldata latestMessage) external returns (uint256 index);
        function requestExit() external returns (uint256 index);
        // Batches.
        function submitBatch(uint256 id, bytes32 previousCommitment, uint64 inboxEnd, bytes32 accumulator, bytes32[] calldata roots, bytes calldata records) external;
        function contest(Preimage calldata batch, uint256 chunk, Opening calldata previous, bytes32 claimedRoot, Item[] calldata items, bytes calldata records, Witness[] calldata witnesses) external;
        function collectReward(uint256 reward) external;
        // Leaving.
        function claim(uint256 batch, Witness calldata witness, address recipient, bytes calldata signature) external;
        function halt() external;
        function reclaimDeposit(uint64 index) external;
        // The operator's bond.
        function bond() external payable;
        function unbond() external;

        // Views.
        function OPERATOR() external view returns (address);
        function CHALLENGE() external view returns (uint64);
        function FORCE() external view returns (uint64);
        function MIN_BOND() external view returns (uint128);
        function MAX_CHUNK() external view returns (uint256);
        function MAX_CHUNKS() external view returns (uint256);
        function RECORD_SIZE() external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function nextId() external view returns (uint256);
        function finalisedId() external view returns (uint256);
        function isFinal(uint256 id) external view returns (bool);
        function isContestable(uint256 id) external view returns (bool);
        function batches(uint256 id) external view returns (bytes32 commitment, bytes32 root, uint64 time, uint64 inboxEnd);
        function inboxLength() external view returns (uint64);
        function inboxCursor() external view returns (uint64);
        function accumulator(uint64 index) external view returns (bytes32);
        function inboxItem(uint64 index) external view returns (uint8 kind, uint128 value, uint64 time, address to, bool reclaimed);
        function dueTime() external view returns (uint64 index, uint64 time);
        function grace() external view returns (uint64 floor, uint64 end);
        function claimed(address account) external view returns (uint256);
        function lockedBalance(address account) external view returns (uint256);
        function bondBalance() external view returns (uint256);
        function rewards(uint256 reward) external view returns (address challenger, uint256 id, uint256 amount, bool paid);
        function rewardCount() external view returns (uint64);
        function halted() external view returns (bool);
        function supportsInterface(bytes4 interfaceId) external pure returns (bool);
    }
}
