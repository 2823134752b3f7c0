use serde_json::{Value, json};

use super::*;

/// The manifest of the documentation.
fn example() -> Value {
    json!({
        "apiVersion": 1, "dataVersion": 1,
        "title": "Payments", "description": "Pay anybody on this layer 2", "icon": "icon.svg",
        "contracts": { "gateway": {
            "abi": [
                "function deposit(address to) payable returns (uint256)",
                "function requestWithdrawPayment(address from, bytes latestMessage)",
                "function claim(uint256 batch, address account)",
                "function halt()",
                "function balanceOf(address account) view returns (uint256)",
                "event Deposited(address indexed from, address indexed to, uint256 value)",
                "error TooEarly(uint256 at)"
            ],
            "deposit": ["deposit"], "withdraw": ["requestWithdrawPayment", "claim"], "defend": ["halt"]
        } },
        "deployments": [{
            "chain": "eip155:1", "gateway": "0x1111111111111111111111111111111111111111",
            "networkUrl": "wss://node.example", "fromBlock": 21000000
        }],
        "permissions": {
            "keys": { "curve": "secp256k1", "export": false },
            "localDatabase": { "quota": "16 MiB", "critical": false },
            "network": ["$networkUrl"],
            "layer1": ["read", "blocks", "events"],
            "memory": "64 MiB"
        },
        "optionalPermissions": { "network": ["wss://tower.example"] },
        "dials": { "networking": ["node", "nodes"], "state": ["node", "light"], "history": ["node", "own"] }
    })
}

#[test]
fn the_example_of_the_documentation_is_accepted() {
    let manifest = Manifest::from_json(&example()).expect("valid");
    assert_eq!(manifest.title, "Payments");
    assert_eq!(manifest.permissions.memory, Some(ByteSize::new(64 << 20)));
    let contract = &manifest.contracts[GATEWAY];
    let listed: Vec<_> =
        contract.functions().expect("valid").iter().map(|f| format!("{} {}", f.role, f.function.signature())).collect();
    expect_test::expect![[r#"
        [
            "deposit deposit(address)",
            "withdraw requestWithdrawPayment(address,bytes)",
            "withdraw claim(uint256,address)",
            "defend halt()",
        ]
    "#]]
    .assert_debug_eq(&listed);
    assert_eq!(contract.events().expect("valid").len(), 1);
}

#[test]
fn a_manifest_survives_being_stored() {
    let manifest = Manifest::from_json(&example()).expect("valid");
    let stored = serde_json::to_value(&manifest).expect("serialises");
    assert_eq!(Manifest::from_json(&stored).expect("valid again"), manifest);
}

#[test]
fn the_install_screen_lists_every_permission_in_the_wallets_words() {
    let manifest = Manifest::from_json(&example()).expect("valid");
    let lines: Vec<_> = manifest.requested().iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        make and use accounts of its own on layer 2 (the keys stay in the vault)
        keep up to 16 MiB of data in this wallet
        connect to this layer 2's network URL
        read layer 1
        be told of new layer-1 blocks
        be told of the gateway's events
        use up to 64 MiB of memory
        ask for layer-1 transactions that call gateway.deposit(address) (to bring value in)
        ask for layer-1 transactions that call gateway.requestWithdrawPayment(address,bytes) (to bring value out)
        ask for layer-1 transactions that call gateway.claim(uint256,address) (to bring value out)
        ask for layer-1 transactions that call gateway.halt() (to protect your value)"#]]
    .assert_eq(&lines.join("\n"));
    for permission in manifest.requested().into_iter().chain(manifest.optional()) {
        let stored = serde_json::to_string(&permission).expect("serialises");
        assert_eq!(serde_json::from_str::<Permission>(&stored).expect("reads back"), permission, "{stored}");
    }
}

#[test]
fn the_smallest_manifest_asks_for_nothing() {
    let manifest = Manifest::from_json(&json!({ "apiVersion": 1, "title": "Small" })).expect("valid");
    assert!(manifest.requested().is_empty());
    assert!(manifest.optional().is_empty());
    assert_eq!(manifest.dials, Dials::default());
}

#[test]
fn a_gateway_without_abi_has_the_standard_interface() {
    let manifest =
        Manifest::from_json(&json!({ "apiVersion": 1, "title": "Standard", "contracts": { "gateway": {} } }))
            .expect("valid");
    let signatures: Vec<_> =
        manifest.contracts[GATEWAY].functions().expect("valid").iter().map(|f| f.function.signature()).collect();
    assert_eq!(signatures, ["deposit(address)", "requestExit()"]);
}

/// Sets the value at a JSON pointer (`/title`) of the example and expects exactly this error.
#[track_caller]
fn check(pointer: &str, value: Value, expect: &str) {
    let mut manifest = example();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match manifest.pointer_mut(parent).expect("the parent is there") {
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        Value::Array(entries) => match key.parse::<usize>() {
            Ok(index) => entries[index] = value,
            Err(_) => entries.push(value),
        },
        other => panic!("{parent} is {other}"),
    }
    let error = Manifest::from_json(&manifest).expect_err("refused").to_string();
    let start = error.strip_prefix("package.json: ").expect("names the file");
    assert!(start.starts_with(expect), "{pointer}\n  expected {expect}\n  got      {start}");
}

#[test]
fn unknown_fields_and_permissions_are_named() {
    check("/colour", json!("red"), "layer2.colour: unknown field `colour`, expected one of `apiVersion`");
    check(
        "/permissions/everything",
        json!(true),
        "layer2.permissions.everything: unknown field `everything`, expected",
    );
    check(
        "/permissions/keys/all",
        json!(true),
        "layer2.permissions.keys.all: unknown field `all`, expected `curve` or",
    );
    check(
        "/permissions/layer1/2",
        json!("write"),
        "layer2.permissions.layer1[2]: unknown variant `write`, expected one of `read`",
    );
    check(
        "/permissions/keys/curve",
        json!("ed25519"),
        "layer2.permissions.keys.curve: unknown variant `ed25519`, expected `secp256k1`",
    );
    check("/optionalPermissions/keys", json!({}), "layer2.optionalPermissions.keys: unknown field `keys`, expected");
    check("/contracts/gateway/admin", json!([]), "layer2.contracts.gateway.admin: unknown field `admin`, expected");
    check("/deployments/0/owner", json!(""), "layer2.deployments[0].owner: unknown field `owner`, expected");
    check("/dials/state/0", json!("trust"), "layer2.dials.state[0]: unknown variant `trust`, expected one of");
}

#[test]
fn values_outside_the_rules_are_named() {
    check("/apiVersion", json!(2), "layer2.apiVersion: 2 is not a version that this wallet speaks; it speaks 1");
    check("/apiVersion", json!("1"), "layer2.apiVersion: invalid type: string");
    check("/dataVersion", json!(0), "layer2.dataVersion: versions start at 1");
    check("/title", json!(""), "layer2.title: needs 1 to 48 characters");
    check("/title", json!("   "), "layer2.title: needs 1 to 48 characters");
    check("/title", json!("x".repeat(49)), "layer2.title: needs 1 to 48 characters");
    check("/title", json!("Pay\u{202e}stnem"), "layer2.title: has the control or invisible character U+202E");
    check("/title", json!("Pay\u{1b}[2J"), "layer2.title: has the control or invisible character U+001B");
    check("/description", json!("a\u{200b}b"), "layer2.description: has the control or invisible character U+200B");
    check("/icon", json!("icon.png"), "layer2.icon: \"icon.png\" is no SVG file");
    check("/icon", json!("../icon.svg"), "layer2.icon: \"../icon.svg\" has an empty, \".\" or \"..\" part");
    check("/icon", json!("/etc/icon.svg"), "layer2.icon: \"/etc/icon.svg\" is absolute");
    check("/icon", json!("a\\..\\icon.svg"), "layer2.icon: \"a\\\\..\\\\icon.svg\" has a character");
    check(
        "/deployments/0/chain",
        json!("1"),
        "layer2.deployments[0].chain: \"1\" names no chain; write it as \"eip155:1\"",
    );
    check("/deployments/0/chain", json!("eip155:01"), "layer2.deployments[0].chain: \"eip155:01\" names no chain");
    check("/deployments/0/gateway", json!("0x12"), "layer2.deployments[0].gateway: ");
    check(
        "/deployments/0/networkUrl",
        json!("ftp://a.example"),
        "layer2.deployments[0].networkUrl: \"ftp://a.example\" is not a ws",
    );
    check(
        "/permissions/network/0",
        json!("$anything"),
        "layer2.permissions.network[0]: unknown variable \"$anything\"",
    );
    check("/permissions/network/0", json!("*"), "layer2.permissions.network[0]: \"*\" is no URL");
    check(
        "/permissions/network/0",
        json!("file:///etc/passwd"),
        "layer2.permissions.network[0]: \"file:///etc/passwd\" is not a ws",
    );
    check(
        "/permissions/network/0",
        json!("wss://user:pw@a.example"),
        "layer2.permissions.network[0]: \"wss://user:pw@a.example\" carries a user name",
    );
    check("/permissions/network/-", json!("$networkUrl"), "layer2.permissions.network: an entry stands twice");
    check("/permissions/memory", json!("64"), "layer2.permissions.memory: \"64\" is no size; write it as \"16 MiB\"");
    check("/permissions/memory", json!("-1 MiB"), "layer2.permissions.memory: \"-1 MiB\" is no size");
    check(
        "/permissions/memory",
        json!("999999999 GiB"),
        "layer2.permissions.memory: 999999999 GiB is not between 8 MiB and 512 MiB",
    );
    check("/permissions/memory", json!("1 KiB"), "layer2.permissions.memory: 1 KiB is not between 8 MiB and 512 MiB");
    check(
        "/permissions/localDatabase/quota",
        json!("2 GiB"),
        "layer2.permissions.localDatabase.quota: 2 GiB is not between",
    );
    check("/dials/history", json!([]), "layer2.dials.history: needs at least one position");
    check("/dials/networking", json!(["node", "node"]), "layer2.dials.networking: a position stands twice");
}

#[test]
fn contracts_outside_the_rules_are_named() {
    let gateway = "/contracts/gateway";
    check(
        &format!("{gateway}/deposit"),
        json!(["steal"]),
        "layer2.contracts.gateway.deposit[0]: \"steal\" is no function",
    );
    check(
        &format!("{gateway}/call"),
        json!(["balanceOf"]),
        "layer2.contracts.gateway.call[0]: \"balanceOf\" only reads",
    );
    check(
        &format!("{gateway}/call"),
        json!(["halt()"]),
        "layer2.contracts.gateway.call[0]: \"halt()\" has a role already",
    );
    check(
        &format!("{gateway}/abi/0"),
        json!("function deposit("),
        "layer2.contracts.gateway.abi[0]: \"function deposit(\" is no Solidity",
    );
    check(
        &format!("{gateway}/abi/0"),
        json!("deposit(address)"),
        "layer2.contracts.gateway.abi[0]: \"deposit(address)\" is neither",
    );
    check(
        &format!("{gateway}/abi/1"),
        json!("function deposit(address x)"),
        "layer2.contracts.gateway.abi[1]: deposit(address) is declared twice",
    );
    check(
        &format!("{gateway}/abi/1"),
        json!("function deposit(uint256 x)"),
        "layer2.contracts.gateway.deposit[0]: \"deposit\" has several declarations",
    );
    check(
        &format!("{gateway}/addresses"),
        json!({ "eip155:1": "0x1111111111111111111111111111111111111111" }),
        "layer2.contracts.gateway.addresses: the gateway's address comes from",
    );
    check("/contracts/token", json!({ "abi": [] }), "layer2.contracts.token.addresses: every contract but the gateway");
    check("/contracts/9Token", json!({}), "layer2.contracts.9Token: a contract's name is a lower-case letter");
    let many = vec!["function f()"; ENTRY_LIMIT + 1];
    check(&format!("{gateway}/abi"), json!(many), "layer2.contracts.gateway.abi: has 65 entries; at most 64");
}

#[test]
fn sizes_have_one_meaning_and_one_spelling() {
    for (text, bytes) in [("512 B", 512), ("64 KiB", 64 << 10), ("16 MiB", 16 << 20), ("1 GiB", 1 << 30)] {
        let size: ByteSize = text.parse().expect(text);
        assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, text));
    }
    assert_eq!("1024 KiB".parse::<ByteSize>().expect("a size").to_string(), "1 MiB");
    for text in ["", "16", "16MiB", "16 MB", "16  MiB", " 16 MiB", "0x10 MiB", "1.5 MiB", "+1 MiB"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
    }
}

#[test]
fn tuples_may_name_their_fields() {
    let check = |declaration: &str, signature: &str| {
        let contract = json!({ "abi": [declaration], "call": ["f"] });
        let manifest = json!({ "apiVersion": 1, "title": "x", "contracts": { "gateway": contract } });
        let manifest = Manifest::from_json(&manifest).expect(declaration);
        let functions = manifest.contracts[GATEWAY].functions().expect(declaration);
        assert_eq!(functions[0].function.signature(), signature);
        functions[0].function.inputs.last().map(|input| input.name.clone()).unwrap_or_default()
    };
    assert_eq!(check("function f((address account, bytes32[] siblings) proof)", "f((address,bytes32[]))"), "proof");
    assert_eq!(check("function f(tuple(uint a, (bool b, string c)[2] d)[] e)", "f((uint256,(bool,string)[2])[])"), "e");
    assert_eq!(
        check("function f( (uint8,bool) p, uint z ) returns ((uint a, uint b) r)", "f((uint8,bool),uint256)"),
        "z"
    );
    assert_eq!(check("function f()", "f()"), "");
}

#[test]
fn row_27_the_publisher_knows_only_what_it_lists() {
    let manifest = Manifest::from_json(&example()).expect("valid");
    let (listed, other) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
    assert!(manifest.knows_gateway(1, listed));
    assert!(!manifest.knows_gateway(1, other));
    assert!(!manifest.knows_gateway(2, listed), "the same address on another chain is another contract");
    assert!(manifest.knows_url(1, "wss://node.example"));
    for other in ["wss://node.example.evil.example", "ws://node.example", "wss://node.example/other", ""] {
        assert!(!manifest.knows_url(1, other), "{other}");
    }
    assert!(!manifest.knows_url(2, "wss://node.example"));
}
