//! Layer 1 in this process: an EVM under the rules that layer 1 has today, its transactions and logs, and its forks.

use std::rc::Rc;

use alloy::primitives::{Address, Bytes, Log, TxKind, U256};
use alloy::sol_types::{SolCall, SolEvent};
use revm::context::result::{ExecutionResult, ResultGas};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::InMemoryDB;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm, handler::MainnetContext};

/// Gas limit of every transaction: what layer 1 allows one (EIP-7825).
pub(crate) const GAS_LIMIT: u64 = 1 << 24;
/// As anvil's, so that the gateway takes short periods.
pub(crate) const CHAIN_ID: u64 = 31337;

/// What a transaction that went through left behind: all that a replica can know.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) from: Address,
    pub(crate) input: Bytes,
    pub(crate) logs: Vec<Log>,
    pub(crate) gas: u64,
}

impl Transaction {
    /// The events of this kind, in order.
    pub(crate) fn events<E: SolEvent>(&self) -> impl Iterator<Item = E> {
        self.logs.iter().filter_map(|log| E::decode_log(log).ok().map(|log| log.data))
    }

    /// The one event of this kind.
    #[track_caller]
    pub(crate) fn event<E: SolEvent>(&self) -> E {
        let mut events = self.events();
        let event = events.next().unwrap_or_else(|| panic!("no {}", E::SIGNATURE));
        assert!(events.next().is_none(), "two {}", E::SIGNATURE);
        event
    }
}

/// What a reverted transaction returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revert(pub(crate) Bytes);

impl Revert {
    /// The error's selector; zero without one.
    pub(crate) fn selector(&self) -> [u8; 4] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

type Evm = MainnetEvm<MainnetContext<InMemoryDB>>;

pub(crate) struct Chain {
    evm: Evm,
    /// Of the block that is being made, unix seconds.
    pub(crate) now: u64,
    /// All that went through on this fork, oldest first.
    pub(crate) transactions: Vec<Rc<Transaction>>,
}

/// A point that the chain can be taken back to.
#[derive(Clone)]
pub(crate) struct Point {
    database: InMemoryDB,
    now: u64,
    transactions: Vec<Rc<Transaction>>,
}

impl Chain {
    pub(crate) fn new(now: u64) -> Self {
        let mut config = CfgEnv::new_with_spec(SpecId::OSAKA);
        config.chain_id = CHAIN_ID;
        // Senders here have no other transactions that could be out of order.
        config.disable_nonce_check = true;
        let block = BlockEnv { gas_limit: 60_000_000, basefee: 0, ..BlockEnv::default() };
        let evm = Context::mainnet().with_db(InMemoryDB::default()).with_cfg(config).with_block(block).build_mainnet();
        Self { evm, now, transactions: Vec::new() }
    }

    pub(crate) fn set_balance(&mut self, account: Address, wei: u128) {
        let info = AccountInfo { balance: U256::from(wei), ..AccountInfo::default() };
        self.evm.ctx.modify_db(|database| database.insert_account_info(account, info));
    }

    pub(crate) fn balance(&mut self, account: Address) -> U256 {
        let mut balance = U256::ZERO;
        self.evm.ctx.modify_db(|database| balance = database.load_account(account).unwrap().info.balance);
        balance
    }

    fn environment(&mut self, from: Address, kind: TxKind, value: u128, input: Bytes) -> TxEnv {
        let now = U256::from(self.now);
        self.evm.ctx.modify_block(|block| block.timestamp = now);
        let builder = TxEnv::builder().caller(from).kind(kind).value(U256::from(value)).data(input);
        builder.gas_limit(GAS_LIMIT).gas_price(0).chain_id(Some(CHAIN_ID)).build().unwrap()
    }

    /// Creates a contract.
    pub(crate) fn deploy(&mut self, from: Address, code: Bytes) -> Address {
        let transaction = self.environment(from, TxKind::Create, 0, code);
        match self.evm.transact_commit(transaction).unwrap() {
            ExecutionResult::Success { output, .. } => *output.address().unwrap(),
            refusal => panic!("the contract cannot be deployed: {refusal:?}"),
        }
    }

    /// A transaction; it stays on the chain if it goes through.
    pub(crate) fn send(
        &mut self,
        from: Address,
        to: Address,
        value: u128,
        call: &impl SolCall,
    ) -> Result<Rc<Transaction>, Revert> {
        let input = Bytes::from(call.abi_encode());
        let transaction = self.environment(from, TxKind::Call(to), value, input.clone());
        let (logs, gas, _) = outcome(self.evm.transact_commit(transaction).unwrap())?;
        let transaction = Rc::new(Transaction { from, input, logs, gas: gas.tx_gas_used() });
        self.transactions.push(Rc::clone(&transaction));
        Ok(transaction)
    }

    /// What a transaction would do now, and what gas it would take.
    pub(crate) fn try_call<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<(C::Return, ResultGas), Revert> {
        let transaction = self.environment(from, TxKind::Call(to), 0, call.abi_encode().into());
        let (_, gas, output) = outcome(self.evm.transact(transaction).unwrap().result)?;
        Ok((C::abi_decode_returns(&output).unwrap(), gas))
    }

    #[track_caller]
    pub(crate) fn view<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        self.try_call(Address::ZERO, to, call).unwrap().0
    }

    /// Here, as it is now.
    pub(crate) fn point(&mut self) -> Point {
        let mut database = None;
        self.evm.ctx.modify_db(|current| database = Some(current.clone()));
        Point { database: database.unwrap(), now: self.now, transactions: self.transactions.clone() }
    }

    /// Takes the chain back: what came after never was.
    pub(crate) fn reorganise(&mut self, point: &Point) {
        self.evm.ctx.modify_db(|current| *current = point.database.clone());
        self.now = point.now;
        self.transactions.clone_from(&point.transactions);
    }
}

fn outcome(result: ExecutionResult) -> Result<(Vec<Log>, ResultGas, Bytes), Revert> {
    match result {
        ExecutionResult::Success { logs, gas, output, .. } => Ok((logs, gas, output.into_data())),
        ExecutionResult::Revert { output, .. } => Err(Revert(output)),
        // Out of gas, or a panic of the machine: no rule of the gateway ends so.
        halt @ ExecutionResult::Halt { .. } => panic!("the transaction came to a halt: {halt:?}"),
    }
}
