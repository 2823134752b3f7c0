use super::*;

#[test]
fn every_browser_has_its_place() {
    let check = |browser, config: Option<&str>, mac, expect: &str| {
        let variable = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/home/u")),
            "XDG_CONFIG_HOME" => config.map(PathBuf::from),
            _ => None,
        };
        assert_eq!(folder(browser, variable, mac), Some(PathBuf::from(expect)));
    };
    check(Browser::Chromium, None, false, "/home/u/.config/chromium/NativeMessagingHosts");
    check(Browser::Chrome, None, false, "/home/u/.config/google-chrome/NativeMessagingHosts");
    check(Browser::Brave, None, false, "/home/u/.config/BraveSoftware/Brave-Browser/NativeMessagingHosts");
    check(Browser::Edge, Some("/c"), false, "/c/microsoft-edge/NativeMessagingHosts");
    check(Browser::Edge, Some("relative"), false, "/home/u/.config/microsoft-edge/NativeMessagingHosts");
    check(Browser::Firefox, Some("/c"), false, "/home/u/.mozilla/native-messaging-hosts");
    check(Browser::Chrome, Some("/c"), true, "/home/u/Library/Application Support/Google/Chrome/NativeMessagingHosts");
    assert_eq!(folder(Browser::Chrome, |_| None, false), None);
}

#[test]
fn the_script_names_the_wallet_whatever_it_is_called() {
    let dir = tempfile::tempdir().expect("a directory");
    let odd = dir.path().join("it's $HOME; \"a\" `b`\nc");
    let script = dir.path().join("script");
    std::fs::write(&script, script_text(Path::new("/bin/echo"), &odd)).expect("written");
    let said = std::process::Command::new("sh").arg(&script).args(["chrome-extension://x/", "a b"]).output();
    let said = String::from_utf8(said.expect("run").stdout).expect("text");
    assert_eq!(said, format!("--home {} bridge chrome-extension://x/ a b\n", odd.display()));
}
