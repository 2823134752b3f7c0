use super::*;
use entresol_store::NewSolution;

fn spec(version: &str, manifest: Json, actions: Json) -> NewSolution {
    let mut layer2 = json!({ "apiVersion": 1, "title": "Till" });
    for (field, value) in manifest.as_object().expect("an object") {
        layer2[field] = value.clone();
    }
    let interface = json!({ "actions": actions, "state": [{ "name": "balance", "type": "uint256" }] });
    NewSolution {
        name: "till".into(),
        title: "Till".into(),
        network: "dev".into(),
        owner_index: 0,
        gateway: None,
        network_urls: Vec::new(),
        key_path: "m/43'/60'/1775'/1'".into(),
        package_name: "till".into(),
        package_version: version.into(),
        package_sha512: format!("sha of {version}"),
        package_dir: String::new(),
        from_block: 0,
        interface_digest: String::new(),
        interface,
        manifest: serde_json::to_value(Manifest::from_json(&layer2).expect("valid")).expect("JSON"),
    }
}

fn pay(more: Json) -> Json {
    let mut action = json!({ "name": "pay", "params": [{ "name": "value", "type": "uint256", "role": "amount" }] });
    for (field, value) in more.as_object().expect("an object") {
        action[field] = value.clone();
    }
    action
}

fn changes(old: &NewSolution, new: &NewSolution) -> Changes {
    Changes::between(&Side::new(old).expect("old"), &Side::new(new).expect("new"), 1).expect("compared")
}

fn rule(action: &str, contracts: &[&str]) -> Json {
    json!({ "actions": [action], "contracts": contracts, "perCall": "1", "perWindow": "1", "windowMs": 1000 })
}

#[test]
fn what_has_no_other_meaning_is_no_change() {
    let old = spec("1.0.0", json!({}), json!([pay(json!({})), { "name": "look", "readOnly": true }]));
    let words = pay(json!({ "description": "Pays faster", "confirmation": true }));
    let more = spec("1.1.0", json!({}), json!([words, { "name": "look", "readOnly": true }, { "name": "burn" }]));
    let changes = changes(&old, &more);
    assert!(changes.is_empty() && !changes.contracts && changes.state.is_empty(), "{changes:?}");
    assert!(!changes.touch(&rule("pay", &["deposit(address)"])));
    assert_eq!(changes.narrow(&json!({ "actions": ["pay", "look"], "state": ["balance"] })), None);
}

#[test]
fn every_change_of_meaning_touches_what_was_agreed_to() {
    let old = spec("1.0.0", json!({}), json!([pay(json!({})), { "name": "look" }]));
    for other in [
        json!([{ "name": "look" }]),
        json!([pay(json!({ "params": [{ "name": "value", "type": "uint256" }] })), { "name": "look" }]),
        json!([pay(json!({ "params": [{ "name": "value", "type": "uint128", "role": "amount" }] })), { "name": "look" }]),
        json!([pay(json!({ "returns": [{ "name": "id", "type": "bytes32" }] })), { "name": "look" }]),
        json!([pay(json!({ "readOnly": true })), { "name": "look" }]),
    ] {
        let changes = changes(&old, &spec("1.1.0", json!({}), other.clone()));
        assert!(changes.touch(&rule("pay", &[])), "{other}");
        assert!(!changes.touch(&rule("look", &[])), "{other}");
        let left = changes.narrow(&json!({ "actions": ["pay", "look"], "state": ["balance"] }));
        assert_eq!(left, Some(Some(json!({ "actions": ["look"], "state": ["balance"] }))), "{other}");
        assert_eq!(changes.narrow(&json!({ "actions": ["pay"], "state": [] })), Some(None), "{other}");
        assert!(changes.touch(&json!({ "unreadable": true })), "what cannot be read is not trusted");
    }
}

#[test]
fn a_contract_that_moves_or_a_function_that_changes_its_role_touches_policies_for_layer_1() {
    let at = |address: &str, role: &str| {
        let mut contract = json!({ "abi": ["function claim(uint256 id)"], "addresses": { "eip155:1": address } });
        contract[role] = json!(["claim"]);
        json!({ "contracts": { "vault": contract } })
    };
    let (here, there) = ("0x00000000000000000000000000000000000000a1", "0x00000000000000000000000000000000000000a2");
    let old = spec("1.0.0", at(here, "withdraw"), json!([pay(json!({}))]));
    for other in [at(there, "withdraw"), at(here, "call"), json!({})] {
        let new = spec("1.1.0", other.clone(), json!([pay(json!({}))]));
        let changes = changes(&old, &new);
        assert!(changes.touch(&rule("pay", &["claim(uint256)"])), "{other}");
        assert!(!changes.touch(&rule("pay", &[])), "{other}");
    }
    let rows = contract_rows(
        &Side::new(&old).expect("old"),
        &Side::new(&spec("1.1.0", at(there, "withdraw"), json!([]))).expect("new"),
        1,
    );
    let rows = rows.expect("compared");
    assert!(rows.len() == 1 && rows[0].label == "Contract moves" && rows[0].value.contains("A1 → "), "{rows:?}");
}
