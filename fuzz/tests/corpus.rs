//! Every input that was ever kept still goes through its door.

use entresol_fuzz::{TARGETS, corpus};

#[test]
fn every_committed_input_goes_through() {
    for target in TARGETS {
        let inputs = corpus(target.name).expect("it is committed");
        assert!(!inputs.is_empty(), "{}: nothing to replay", target.name);
        for input in &inputs {
            (target.run)(input);
        }
    }
}
