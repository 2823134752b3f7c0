use secrecy::ExposeSecret;

use super::*;

const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };

/// Header and its tag: where the chunks begin.
const CHUNKS: usize = HEADER + TAG;

/// A whole chunk in the file.
const SEALED: usize = CHUNK + TAG;

fn passphrase() -> SecretString {
    SecretString::from("correct horse battery staple")
}

/// Bytes that do not repeat with the chunks.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 251) as u8).collect()
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut writer = seal(Vec::new(), &passphrase(), CHEAP).expect("begun");
    writer.write_all(plain).expect("written");
    writer.finish().expect("finished")
}

fn opened(file: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut plain = Vec::new();
    let outcome = open(file, &passphrase())?.read_to_end(&mut plain);
    outcome.map(|_| plain).map_err(|error| *error.into_inner().expect("a reason").downcast().expect("of the vault"))
}

/// Not a byte that was not written comes out, and the end is never reached.
#[track_caller]
fn damaged(file: &[u8], plain: &[u8], what: &str) {
    let mut found = Vec::new();
    match open(file, &passphrase()) {
        Ok(mut reader) => {
            let error = reader.read_to_end(&mut found).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
            assert!(reader.read(&mut [0]).is_err(), "{what}: once damaged, always damaged");
        }
        Err(VaultError::BackupDamaged { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
    }
    assert!(plain.starts_with(&found), "{what}: something else came out");
}

/// All positions that could matter, and a spread of the others.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    let edges =
        [0, HEADER, CHUNKS, CHUNKS + CHUNK, CHUNKS + SEALED, CHUNKS + SEALED + CHUNK, CHUNKS + 2 * SEALED, length];
    (0..length).filter(move |position| {
        *position < CHUNKS + 40 || position % 1499 == 0 || edges.iter().any(|edge| edge.abs_diff(*position) < 20)
    })
}

#[test]
fn what_was_written_comes_out_whatever_its_length() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
        let plain = sample(length);
        let file = sealed(&plain);
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(file.len(), CHUNKS + length + chunks * TAG, "{length} bytes");
        assert_eq!(opened(&file).expect("open"), plain, "{length} bytes");
    }
}

#[test]
fn pieces_of_any_size_make_the_same_chunks() {
    let plain = sample(2 * CHUNK + 5);
    for piece in [1, 7, 4096, CHUNK - 1, CHUNK, CHUNK + 1, plain.len()] {
        let mut writer = seal(Vec::new(), &passphrase(), CHEAP).expect("begun");
        for part in plain.chunks(piece) {
            writer.write_all(part).expect("written");
            assert!(writer.buffer.len() <= CHUNK && writer.buffer.capacity() == CHUNK, "memory is constant");
        }
        let file = writer.finish().expect("finished");
        let mut reader = open(&file[..], &passphrase()).expect("open");
        let (mut found, mut part) = (Vec::<u8>::new(), vec![0; piece]);
        loop {
            match reader.read(&mut part).expect("sound") {
                0 => break,
                count => found.extend(&part[..count]),
            }
            assert_eq!(reader.buffer.len(), SEALED, "memory is constant");
        }
        assert!(found == plain, "pieces of {piece}");
    }
}

#[test]
fn every_changed_bit_is_found() {
    let plain = sample(2 * CHUNK + 1000);
    let file = sealed(&plain);
    let mut tried = 0;
    for position in positions(file.len()) {
        let mut changed = file.clone();
        changed[position] ^= 1 << (position % 8);
        let what = format!("byte {position}");
        match position {
            0..16 => assert!(matches!(opened(&changed), Err(VaultError::NotABackup)), "{what}"),
            // The version: newer, or none.
            16..20 => assert!(
                matches!(opened(&changed), Err(VaultError::NewerBackup { .. } | VaultError::BackupDamaged { .. })),
                "{what}"
            ),
            20..HEADER => assert!(matches!(opened(&changed), Err(VaultError::BackupDamaged { .. })), "{what}"),
            // The one place where damage cannot be told from another passphrase.
            HEADER..CHUNKS => assert!(matches!(opened(&changed), Err(VaultError::WrongPassphrase)), "{what}"),
            _ => damaged(&changed, &plain, &what),
        }
        tried += 1;
    }
    assert!(tried > 300, "{tried} positions");
}

#[test]
fn every_cut_is_found() {
    let plain = sample(2 * CHUNK + 1000);
    let file = sealed(&plain);
    assert!(matches!(opened(&[]), Err(VaultError::NotABackup)));
    for length in positions(file.len()).filter(|length| *length > 0) {
        damaged(&file[..length], &plain, &format!("{length} bytes"));
    }
    // A writer that was never finished: what it wrote is a backup that was cut off.
    let mut unfinished = Vec::new();
    seal(&mut unfinished, &passphrase(), CHEAP).expect("begun").write_all(&plain).expect("written");
    damaged(&unfinished, &plain, "not finished");
}

#[test]
fn chunks_cannot_be_exchanged_repeated_left_out_or_added() {
    let plain = sample(3 * CHUNK + 5);
    let file = sealed(&plain);
    let chunk = |index: usize| CHUNKS + index * SEALED..(CHUNKS + (index + 1) * SEALED).min(file.len());
    let of = |order: &[usize]| {
        let chunks = order.iter().flat_map(|index| &file[chunk(*index)]);
        file[..CHUNKS].iter().chain(chunks).copied().collect::<Vec<_>>()
    };
    assert_eq!(of(&[0, 1, 2, 3]), file);
    for order in
        [&[1, 0, 2, 3][..], &[0, 2, 1, 3], &[0, 0, 1, 2, 3], &[0, 2, 3], &[1, 2, 3], &[0, 1, 2], &[3], &[0, 1, 2, 3, 3]]
    {
        damaged(&of(order), &plain, &format!("{order:?}"));
    }
    for added in [vec![0], vec![0; SEALED], file.clone()] {
        damaged(&[file.clone(), added].concat(), &plain, "something added");
    }
    // The same chunk of another backup with the same content and passphrase.
    let mut foreign = file.clone();
    foreign[chunk(1)].copy_from_slice(&sealed(&plain)[chunk(1)]);
    damaged(&foreign, &plain, "a chunk of another backup");
}

#[test]
fn a_full_last_chunk_is_no_other_chunk() {
    // Cut at the edge of a chunk, where only the byte in the nonce tells that more was to come.
    let plain = sample(2 * CHUNK);
    let file = sealed(&plain);
    damaged(&file[..CHUNKS + SEALED], &plain, "one of two chunks");
    assert_eq!(opened(&file).expect("open"), plain);
}

#[test]
fn a_wrong_passphrase_is_called_that() {
    let file = sealed(b"something");
    for wrong in ["", "correct horse", "Correct horse battery staple", "correct horse battery staple "] {
        let outcome = open(&file[..], &SecretString::from(wrong));
        assert!(matches!(outcome, Err(VaultError::WrongPassphrase)), "{wrong:?}");
    }
    let empty = seal(Vec::new(), &SecretString::from(""), CHEAP);
    assert!(matches!(empty, Err(VaultError::EmptyPassphrase)));
    assert!(matches!(open(&b"{ \"version\": 2 }"[..], &passphrase()), Err(VaultError::NotABackup)));
}

#[test]
fn a_hostile_cost_is_refused_before_it_is_paid() {
    for (at, number) in [(20, u32::MAX), (20, 7), (24, 101), (24, 0), (28, 17), (28, 0)] {
        let mut file = sealed(b"something");
        file[at..at + 4].copy_from_slice(&number.to_be_bytes());
        let sum = checksum(&file[..NUMBERS]);
        file[NUMBERS..HEADER].copy_from_slice(&sum);
        assert!(matches!(opened(&file), Err(VaultError::Cost { .. })), "{number} at {at}");
    }
    // A cost within bounds that is not the one it was sealed with: another key.
    let mut file = sealed(b"something");
    file[24..28].copy_from_slice(&2_u32.to_be_bytes());
    let sum = checksum(&file[..NUMBERS]);
    file[NUMBERS..HEADER].copy_from_slice(&sum);
    assert!(matches!(opened(&file), Err(VaultError::WrongPassphrase)));
}

#[test]
fn nothing_repeats_and_nothing_shows() {
    let plain = [b"a secret that stands here many times. ".as_slice(); 64].concat();
    let (one, two) = (sealed(&plain), sealed(&plain));
    assert_ne!(one[32..NUMBERS], two[32..NUMBERS]);
    let same = one[CHUNKS..].windows(8).zip(two[CHUNKS..].windows(8)).filter(|(a, b)| a == b).count();
    assert_eq!(same, 0);
    for secret in [b"a secret".as_slice(), &passphrase().expose_secret().as_bytes()[..8]] {
        assert!(!one.windows(8).any(|window| window == secret));
    }
}

#[test]
fn the_end_is_checked_even_when_nobody_reads_that_far() {
    let plain = sample(2 * CHUNK);
    let mut file = sealed(&plain);
    let last = file.len() - 1;
    let first = |file: &[u8]| {
        let mut reader = open(file, &passphrase()).expect("open");
        reader.read_exact(&mut [0; 100]).expect("the beginning is sound");
        reader.finish().map(|_| ())
    };
    first(&file).expect("sound");
    file[last] ^= 1;
    assert_eq!(first(&file).expect_err("damaged").kind(), io::ErrorKind::InvalidData);
}

#[test]
fn errors_of_input_and_output_stay_what_they_are() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(seal(Full(10), &passphrase(), CHEAP), Err(VaultError::BackupFile { .. })));
    let mut writer = seal(Full(1000), &passphrase(), CHEAP).expect("begun");
    let error = writer.write_all(&sample(2 * CHUNK)).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let file = sealed(&sample(CHUNK));
    let mut reader = open(file[..CHUNKS + 10].chain(Broken), &passphrase()).expect("open");
    assert_eq!(reader.read(&mut [0; 10]).expect_err("broken").kind(), io::ErrorKind::TimedOut);
}

proptest::proptest! {
    #[test]
    fn no_content_panics(content in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let mut file = sealed(b"");
        file.truncate(CHUNKS);
        proptest::prop_assert!(opened(&content).is_err());
        file.extend(content);
        proptest::prop_assert!(opened(&file).is_err());
    }
}
