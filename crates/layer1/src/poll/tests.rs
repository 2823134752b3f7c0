use super::*;

fn said(endpoint: &str, block: Option<u8>) -> Said<Option<Block>> {
    let answer = block.map(|byte| Block {
        number: 7,
        hash: B256::repeat_byte(byte),
        parent_hash: B256::ZERO,
        timestamp: 1,
        base_fee_per_gas: None,
    });
    Said { index: 0, endpoint: endpoint.to_owned(), answer }
}

#[test]
fn endpoints_without_the_block_do_not_quarrel() {
    assert_eq!(quarrel(7, &[]), None);
    assert_eq!(quarrel(7, &[said("http://a", None), said("http://b", Some(1))]), None);
    assert_eq!(quarrel(7, &[said("http://a", Some(1)), said("http://b", Some(1))]), None);
}

#[test]
fn a_quarrel_names_the_block_the_endpoints_and_what_to_do() {
    let words = quarrel(7, &[said("http://a", Some(1)), said("http://b", Some(1)), said("wss://c", Some(2))]);
    let words = words.expect("two against one");
    for part in ["block 7", "http://a has 0x0101", "wss://c has 0x0202", "Nothing is confirmed", "remove the RPC URL"] {
        assert!(words.contains(part), "{words}");
    }
}
