use super::*;

#[test]
fn an_extension_is_ours_or_firefoxs() {
    let check = |origin: &str, expect| assert_eq!(is_extension(origin), expect, "{origin}");
    check("chrome-extension://ijcahggkbmdcnigjaboponnchegbnaae", true);
    check("moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e", true);
    for origin in [
        "null",
        "",
        "https://shop.example",
        "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "chrome-extension://ijcahggkbmdcnigjaboponnchegbnaae/",
        "chrome-extension://ijcahggkbmdcnigjaboponnchegbnaae.evil.example",
        "CHROME-EXTENSION://ijcahggkbmdcnigjaboponnchegbnaae",
        "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e:1",
        "moz-extension://0F8FAD5B-d9cb-469f-a165-70867728950e",
        "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950",
        "moz-extension://",
    ] {
        check(origin, false);
    }
}

#[test]
fn json_is_named_exactly() {
    let check = |values: &[&str], expect| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_str(value).expect("a value"));
        }
        assert_eq!(is_json(&headers), expect, "{values:?}");
    };
    check(&["application/json"], true);
    check(&["application/json; charset=utf-8"], true);
    check(&["Application/JSON;charset=UTF-8"], true);
    for odd in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; x=y",
        "application/json-seq",
        "",
    ] {
        check(&[odd], false);
    }
    check(&[], false);
    check(&["application/json", "application/json"], false);
}

#[test]
fn the_extensions_id_is_that_of_its_key() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let manifest = include_str!("../../../../../extension/manifest.json");
    let manifest: Json = serde_json::from_str(manifest).expect("JSON");
    let key = manifest["key"].as_str().expect("a pinned key");
    let key = base64::engine::general_purpose::STANDARD.decode(key).expect("base64");
    // The first 32 digits of its SHA-256, written with the letters a to p.
    let digits = hex::encode(sha2::Sha256::digest(key));
    let letters =
        digits.chars().take(32).map(|digit| char::from_digit(digit.to_digit(16).expect("hexadecimal") + 10, 36));
    let id: Option<String> = letters.collect();
    assert_eq!(id.as_deref(), Some(EXTENSION_ID));
}
