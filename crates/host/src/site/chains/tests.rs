use super::*;

#[test]
fn a_chain_id_has_one_spelling() {
    for (text, expect) in [("0x1", 1), ("0x7a69", 31337), ("0xA", 10), ("0xffffffffffffffff", u64::MAX)] {
        assert_eq!(parse_chain_id(text).expect(text), expect);
    }
    for text in ["", "1", "0x", "0x0", "0x01", "0X1", "x1", "0x1 ", "0x-1", "0x+1", "0xg", "0x1ffffffffffffffff"] {
        let error = parse_chain_id(text).expect_err(text);
        assert_eq!(error.code, code::INVALID_PARAMS);
    }
}

#[test]
fn row_17_a_site_names_no_private_address() {
    for good in
        ["https://rpc.example.org", "https://rpc.example.org:8443/key?x=1", "wss://1.1.1.1/", "https://[2606::1]"]
    {
        assert!(public_https("rpcUrls", good).is_ok(), "{good}");
    }
    for bad in [
        "http://rpc.example.org",
        "ftp://rpc.example.org",
        "file:///etc/passwd",
        "https://user@rpc.example.org",
        "https://user:pass@rpc.example.org",
        "https://localhost",
        "https://LOCALHOST.",
        "https://a.localhost:1",
        "https://router.lan",
        "https://printer.local",
        "https://metadata.google.internal",
        "https://intranet",
        "https://127.0.0.1",
        "https://127.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://10.0.0.1",
        "https://192.168.1.1",
        "https://169.254.169.254",
        "https://100.64.0.1",
        "https://0.0.0.0",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[fd00::1]",
        "https://[fe80::1]",
        "not a url",
    ] {
        let error = public_https("rpcUrls", bad).expect_err(bad);
        assert_eq!(error.code, code::INVALID_PARAMS, "{bad}");
    }
}
