use super::*;

fn check(given: Json) -> Result<SolutionInput, HostError> {
    checked(serde_json::from_value(given).map_err(|e| HostError::invalid(e.to_string()))?, "dev", vec![3, 4])
}

#[test]
fn row_27_a_site_proposes_a_name_and_an_exact_version_and_nothing_else() {
    let good = check(json!({
        "layer2Script": "npm:@scope/payments@1.2.3",
        "layer2SolutionContractAddress": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "layer2NetworkUrl": "wss://node.example.org",
        "layer2KeyDerivationPath": "m/43'/60'/1775'/7'",
    }))
    .expect("fits");
    assert_eq!((good.owner, good.network.as_str()), (3, "dev"));
    assert_eq!(good.gateway.as_deref(), Some("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"));
    for script in [
        "folder:/home/user/x",
        "tarball:x.tgz",
        "npm:payments",
        "npm:payments@latest",
        "npm:payments@^1.2.3",
        "npm:payments@1.x",
        "npm:../payments@1.2.3",
        "npm:https://evil.example/x.tgz@1.2.3",
        "npm:@1.2.3",
        "payments@1.2.3",
        "",
    ] {
        let error = check(json!({ "script": script })).expect_err(script);
        assert!(error.message.contains("exact version"), "{script}: {error}");
    }
    for url in
        ["ws://node.example.org", "wss://localhost:1", "https://10.1.2.3", "wss://[::1]", "https://u:p@x.example"]
    {
        assert!(check(json!({ "script": "npm:a@1.2.3", "networkUrls": ["wss://a.example", url] })).is_err(), "{url}");
    }
    for (field, value) in [
        ("gateway", json!("0x12")),
        ("keyPath", json!("m/44'/60'")),
        ("networkUrls", json!(vec!["wss://a.example"; 9])),
        ("owner", json!(1)),
        ("network", json!("main")),
        ("requestKey", json!("propose:1")),
    ] {
        let mut given = json!({ "script": "npm:a@1.2.3" });
        given[field] = value;
        assert!(check(given).is_err(), "{field}");
    }
}
