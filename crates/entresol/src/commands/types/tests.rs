use super::*;

fn value(name: &str, ty: &str) -> ParamView {
    ParamView { name: name.into(), ty: ty.into(), unit: None, role: None }
}

fn action(name: &str, params: Vec<ParamView>, returns: Vec<ParamView>) -> ActionView {
    ActionView {
        name: name.into(),
        description: String::new(),
        signature: format!("{name}(…)"),
        params,
        returns,
        read_only: false,
    }
}

fn solution(actions: Vec<ActionView>, state: Vec<ParamView>) -> SolutionView {
    SolutionView {
        id: 1,
        name: "my-rollup-2".into(),
        title: "Rollup".into(),
        network: "dev".into(),
        gateway: None,
        network_urls: Vec::new(),
        key_path: String::new(),
        owner: 0,
        package: "@scope/rollup@1.0.0".into(),
        package_sha512: String::new(),
        status: "active".into(),
        plugin: "running".into(),
        interface_digest: "0xabcd".into(),
        actions,
        state_names: state.iter().map(|state| state.name.clone()).collect(),
        state_types: state,
        dials: Vec::new(),
        grants: Vec::new(),
    }
}

#[test]
fn abi_types_become_what_javascript_gives_and_json_holds() {
    let check = |ty: &str, given: &str, answered: &str| {
        assert_eq!((of(ty, Way::In).as_str(), of(ty, Way::Out).as_str()), (given, answered), "{ty}");
    };
    check("uint256", "bigint | number | string", "string");
    check("int8", "bigint | number | string", "string");
    check("bool", "boolean", "boolean");
    check("string", "string", "string");
    check("address", "`0x${string}`", "`0x${string}`");
    for bytes in ["bytes", "bytes32"] {
        check(bytes, "`0x${string}` | Uint8Array", "`0x${string}`");
    }
    check("address[]", "readonly `0x${string}`[]", "readonly `0x${string}`[]");
    check("uint8[2]", "readonly [bigint | number | string, bigint | number | string]", "readonly [string, string]");
    check("uint8[5]", "readonly (bigint | number | string)[]", "readonly string[]");
    check(
        "(uint8,bool)[]",
        "readonly (readonly [bigint | number | string, boolean])[]",
        "readonly (readonly [string, boolean])[]",
    );
    check("no type", "unknown", "unknown");
    assert_eq!(of("uint8", Way::State), "string | number");
    assert_eq!(of("(uint8,bool)", Way::State), "Readonly<Record<string, unknown>> | readonly unknown[]");
}

#[test]
fn types_of_nested_arrays_do_not_multiply() {
    let text = of(&format!("uint8{}", "[4]".repeat(60)), Way::In);
    assert!(text.len() < 2_000, "{} characters", text.len());
}

#[test]
fn the_file_says_what_there_is() {
    let mut pay = action("pay", vec![value("to", "address"), value("value", "uint256")], vec![value("id", "bytes32")]);
    pay.description = "Pay someone".into();
    pay.params[1].role = Some("amount".into());
    pay.params[1].unit = Some("wei".into());
    let mut look = action("look", Vec::new(), vec![value("a", "uint8"), value("b", "bool")]);
    look.read_only = true;
    let text =
        typescript(&solution(vec![pay, look, action("run", Vec::new(), Vec::new())], vec![value("total", "uint256")]));
    expect_test::expect![[r#"
        // Layer-2 solution my-rollup-2: @scope/rollup@1.0.0.
        // Interface 0xabcd.
        // Made by `entresol types`; make it again when the digest changes. Quoted texts are the plugin's own.

        /** Actions of my-rollup-2, titled "Rollup". */
        export interface Layer2MyRollup2 {
          /**
           * "Pay someone"
           * Asks the user, unless a policy covers it.
           * `pay(…)`
           * @returns id: bytes32
           */
          pay(params: {
            /** address */
            to: `0x${string}`;
            /** uint256, "amount", in "wei" */
            value: bigint | number | string;
          }, options?: { id?: string }): Promise<`0x${string}`>;
          /**
           * Only reads: passes without asking the user.
           * `look(…)`
           * @returns a: uint8
           * @returns b: bool
           */
          look(params?: Record<string, never>, options?: { id?: string }): Promise<{ a: string; b: boolean }>;
          /**
           * Asks the user, unless a policy covers it.
           * `run(…)`
           */
          run(params?: Record<string, never>, options?: { id?: string }): Promise<unknown>;
        }

        /** What the plugin publishes, as far as it is granted. The wallet does not hold it to the types declared. */
        export interface Layer2MyRollup2State {
          /** uint256 */
          readonly total?: string | number;
        }

        declare global {
          /** Solutions by the name they have in `ethereum.layer2`. */
          interface Layer2Solutions {
            "my-rollup-2": Layer2MyRollup2;
          }
          /** Their published state by the same name. */
          interface Layer2States {
            "my-rollup-2": Layer2MyRollup2State;
          }
        }
    "#]]
    .assert_eq(&text);
}

/// What is left of TypeScript when comments, the plain and the long ones, are taken away.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, after) = rest.split_at(at);
        code.push_str(before);
        rest = if let Some(long) = after.strip_prefix("/*") {
            long.split_once("*/").map_or("", |(_, after)| after)
        } else if after.starts_with("//") {
            after.find('\n').map_or("", |end| &after[end..])
        } else {
            code.push('/');
            &after[1..]
        };
    }
    code + rest
}

#[test]
fn what_a_plugin_wrote_stays_in_comments() {
    let plain = typescript(&solution(vec![action("pay", vec![value("to", "address")], Vec::new())], Vec::new()));
    let hostile = "*/ INJECTED /* \r\n // INJECTED \u{2028} INJECTED \u{1b}[31m \u{202e} *\u{200b}/ **// */";
    let mut pay = action("pay", vec![value("to", "address")], Vec::new());
    pay.description = hostile.into();
    pay.params[0].role = Some(hostile.into());
    pay.params[0].unit = Some(hostile.repeat(1000));
    let mut view = solution(vec![pay], Vec::new());
    view.title = hostile.into();
    view.package = hostile.into();
    view.interface_digest = hostile.into();
    let text = typescript(&view);
    let spaces = |text: &str| code_only(text).split_whitespace().collect::<String>();
    assert_eq!(spaces(&text), spaces(&plain), "{text}");
    assert!(text.len() < 8_000 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{200b}']), "{text:?}");
}

#[test]
fn a_tag_of_a_documentation_tool_is_no_tag() {
    assert_eq!(comment("see {@link javascript:x} @deprecated"), "see {\\@link javascript:x} \\@deprecated");
}
