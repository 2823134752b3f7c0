//! Who takes part: accounts with keys, placed in the tree where paths are long.

use std::sync::LazyLock;

use alloy::primitives::{Address, keccak256};
use payments_protocol::signature::address_of;
use secp256k1::SecretKey;

/// How many people there are.
pub(crate) const PEOPLE: usize = 14;
/// Of how many keys they are chosen.
const CANDIDATES: u64 = 4096;

/// Someone with a key.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) key: SecretKey,
    pub(crate) address: Address,
}

fn with_key(seed: &[u8]) -> Person {
    let key = SecretKey::from_secret_bytes(keccak256(seed).0).unwrap();
    Person { address: address_of(&key.public_key()), key }
}

/// The accounts of every history: the first is a victim, and each other one the best of 4096 keys at being the sibling of
/// the victim's path one level further down. That is the longest path that somebody can grind at this price.
pub(crate) static EVERYONE: LazyLock<Vec<Person>> = LazyLock::new(|| {
    let victim = with_key(b"victim");
    let slot = keccak256(victim.address);
    let mut best: Vec<Option<Person>> = vec![None; PEOPLE - 1];
    for number in 0..CANDIDATES {
        let person = with_key(&number.to_be_bytes());
        let other = keccak256(person.address);
        let shared = (0..256).take_while(|bit| (slot[bit / 8] ^ other[bit / 8]) >> (7 - bit % 8) & 1 == 0).count();
        if let Some(place) = best.get_mut(shared)
            && place.is_none()
        {
            *place = Some(person);
        }
    }
    // Where no key reaches so deep, anyone.
    let others =
        best.into_iter().enumerate().map(|(depth, found)| found.unwrap_or_else(|| with_key(&[b'x', depth as u8])));
    std::iter::once(victim).chain(others).collect()
});

/// Who submits batches; has an account on layer 2 as well.
pub(crate) static OPERATOR: LazyLock<Person> = LazyLock::new(|| with_key(b"operator"));

/// Who owns nothing on layer 2 and does what anyone may do.
pub(crate) static ANYONE: LazyLock<Person> = LazyLock::new(|| with_key(b"anyone"));

/// Everyone with an account on layer 2.
pub(crate) fn accounts() -> impl Iterator<Item = Address> {
    EVERYONE.iter().chain([&*OPERATOR]).map(|person| person.address)
}

/// Whose address this is.
pub(crate) fn owner(address: Address) -> Option<&'static Person> {
    EVERYONE.iter().chain([&*OPERATOR]).find(|person| person.address == address)
}
