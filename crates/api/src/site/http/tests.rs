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
