//! What the machine can do at most: signature recoveries on all cores, signatures made, flushes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use payments_protocol::Domain;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message as Digest, SecretKey};

use crate::world::User;

/// Distinct signatures that are recovered in a round.
const SIGNATURES: usize = 8_192;

/// Signatures over distinct digests, ready to be recovered.
pub(crate) struct Limits {
    key: SecretKey,
    signed: Vec<(Digest, RecoverableSignature)>,
}

impl Limits {
    pub(crate) fn new(domain: &Domain) -> Self {
        let key = SecretKey::from_secret_bytes([0x42; 32]).expect("in range");
        let (from, to) = (User::new(0x42), User::new(0x43));
        let signed = (0..SIGNATURES as u64).map(|nonce| {
            let leaf = payments_protocol::Leaf { nonce, ..Default::default() };
            let message = payments_protocol::Message::payment(from.address, &leaf, to.address, 1, 0);
            let digest = message.digest(domain);
            let signature = message.sign(domain, &key).signature;
            let mut compact = [0u8; 64];
            compact[..32].copy_from_slice(signature.r.as_slice());
            compact[32..].copy_from_slice(signature.s.as_slice());
            let recovery = if signature.v == 27 { RecoveryId::Zero } else { RecoveryId::One };
            let signature = RecoverableSignature::from_compact(&compact, recovery).expect("in range");
            (Digest::from_digest(digest.0), signature)
        });
        Self { key, signed: signed.collect() }
    }

    /// `recover_ecdsa` a second, on all cores.
    pub(crate) fn recoveries(&self) -> f64 {
        self.on_all_cores(|(digest, signature)| {
            std::hint::black_box(signature.recover_ecdsa(*digest)).expect("valid");
        })
    }

    /// Signatures made a second, on all cores: what receipts would take that are signed one by one.
    pub(crate) fn signatures(&self) -> f64 {
        self.on_all_cores(|(digest, _)| {
            std::hint::black_box(RecoverableSignature::sign_ecdsa_recoverable(*digest, &self.key));
        })
    }

    fn on_all_cores(&self, work: impl Fn(&(Digest, RecoverableSignature)) + Sync) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for share in self.signed.chunks(self.signed.len().div_ceil(cores)) {
                scope.spawn(|| share.iter().for_each(&work));
            }
        });
        self.signed.len() as f64 / begun.elapsed().as_secs_f64()
    }

    /// Appends of one page, each flushed, a second.
    pub(crate) fn flushes() -> f64 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join("log")).expect("a file");
        let (begun, mut flushes) = (Instant::now(), 0.0);
        while begun.elapsed() < Duration::from_millis(200) {
            file.write_all(&[0x5a; 4096]).expect("written");
            file.sync_data().expect("flushed");
            flushes += 1.0;
        }
        flushes / begun.elapsed().as_secs_f64()
    }
}
