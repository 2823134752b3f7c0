//! What `entresol types` prints is TypeScript that the pinned checker takes, together with the provider package's types,
//! and it is strict: what the wallet would refuse does not compile.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::npm;
use crate::support::{House, Said};

/// A script with every kind of ABI type, and texts that try to leave their comments.
const KINDS: &str = r#"export default class { constructor() { this.layer2Interface = {
  actions: [
    { name: "every", call() { return 1n; }, readOnly: true,
      description: "*/ export const injected = 1; /* \n // @ts-nocheck \u2028 export const injected = 1;",
      params: [
        { name: "amount", type: "uint", role: "*/ injected", unit: "wei */" }, { name: "small", type: "int8" },
        { name: "flag", type: "bool" }, { name: "text", type: "string" }, { name: "raw", type: "bytes" },
        { name: "word", type: "bytes32" }, { name: "who", type: "address" }, { name: "many", type: "uint256[]" },
        { name: "pair", type: "address[2]" }, { name: "nested", type: "(uint256,(bool,string)[])[]" }],
      returns: [{ name: "total", type: "uint256" }] },
    { name: "several", call() { return {}; }, returns: [{ name: "a", type: "bool" }, { name: "b", type: "bytes[]" }] },
    { name: "nothing", call() {} }],
  state: [{ name: "total", type: "uint256", unit: "wei" }, { name: "list", type: "(uint256,address)[]" }] }; } }"#;

/// What a website's author writes; each line under an expected error is what the wallet refuses.
const AUTHOR: &str = r#"
import { discover, requestLayer2, watchState } from "@entresol/provider";
import type { Layer2Payments } from "./payments.js";
import type {} from "./kinds.js";

const wallet = await discover();
if (wallet === undefined) throw new Error("no wallet");
const { provider } = wallet;
const accounts: readonly `0x${string}`[] = await provider.request({ method: "eth_requestAccounts" });
const to = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";
const payments: Layer2Payments = await requestLayer2(provider, { solution: "payments", actions: ["makePayment"], state: ["balance"] });
for (const value of [1n, 1, "1"]) {
  const message: `0x${string}` = await payments.makePayment({ toAddress: to, value }, { id: "order-1" });
}
await provider.layer2.payments?.newAccount();
const total: string = await provider.layer2.kinds!.every({
  amount: 1n, small: -1, flag: true, text: "", raw: new Uint8Array(2), word: "0x00", who: to, many: [1n, 2, "3"],
  pair: [to, to], nested: [[1n, [[true, "a"]]]] });
const { a, b }: { a: boolean; b: readonly `0x${string}`[] } = await provider.layer2.kinds!.several();
const end: () => void = await watchState(provider, "payments", (state) => BigInt(state.balance ?? 0));
provider.on("message", (message) => message.type);

// @ts-expect-error an address is 0x-hex
payments.makePayment({ toAddress: "bob", value: 1n });
// @ts-expect-error the value is missing
payments.makePayment({ toAddress: to });
// @ts-expect-error there is no such parameter
payments.makePayment({ toAddress: to, value: 1n, fee: 1n });
// @ts-expect-error a truth value is no amount
payments.makePayment({ toAddress: to, value: true });
// @ts-expect-error there is no such action
payments.makePayments({ toAddress: to, value: 1n });
// @ts-expect-error there is no such solution
provider.layer2.other;
// @ts-expect-error no such action can be asked for
requestLayer2(provider, { solution: "payments", actions: ["makePayments"] });
// @ts-expect-error no such state can be asked for
requestLayer2(provider, { solution: "payments", state: ["balances"] });
// @ts-expect-error a pair is two
provider.layer2.kinds!.every({ amount: 1n, small: 1, flag: true, text: "", raw: "0x", word: "0x", who: to, many: [], pair: [to], nested: [] });
"#;

/// As another file, where nothing of a solution is known: everything goes.
const UNTYPED: &str = r#"
import { discover, watchState } from "@entresol/provider";
const wallet = await discover({ timeoutMs: 1 });
const paid = await wallet?.provider.layer2.anything?.anyAction?.({ whatever: 1 });
if (wallet) await watchState(wallet.provider, "anything", (state) => state.whatever);
"#;

#[test]
fn what_is_printed_compiles_strictly_with_the_provider_package() {
    let house = House::new();
    house.install(&[]);
    house.install_script("kinds", json!({}), KINDS);
    let folder = tempfile::tempdir().expect("a directory");
    for solution in ["payments", "kinds"] {
        let told = house.wallet.tell(&["types", solution]);
        told.says(&["export interface Layer2", "declare global"]);
        std::fs::write(folder.path().join(format!("{solution}.d.ts")), &told.out).expect("written");
        let file = house.wallet.run(&["types", solution]).json();
        assert_eq!(file["typescript"].as_str().map(str::trim_end), Some(told.out.trim_end()));
        assert_eq!(file["solution"], solution);
    }
    let payments = house.wallet.tell(&["types", "payments"]);
    payments.says(&["makePayment(params: {", "toAddress: `0x${string}`;", "value: bigint | number | string;"]);
    house.wallet.tell(&["types", "nobody"]).fails(1, &["nobody"]);

    std::fs::write(folder.path().join("author.ts"), AUTHOR).expect("written");
    check(folder.path(), "author.ts");
    let other = tempfile::tempdir().expect("a directory");
    std::fs::write(other.path().join("untyped.ts"), UNTYPED).expect("written");
    check(other.path(), "untyped.ts");
}

/// Compiles one file in `folder`, strictly, with the provider package beside it as npm would put it.
fn check(folder: &Path, file: &str) {
    let scope = folder.join("node_modules/@entresol");
    std::fs::create_dir_all(&scope).expect("made");
    std::os::unix::fs::symlink(npm::repository().join("sdk/provider"), scope.join("provider")).expect("linked");
    let config = json!({
        "compilerOptions": {
            "strict": true, "noEmit": true, "noUncheckedIndexedAccess": true, "exactOptionalPropertyTypes": true,
            "target": "es2023", "lib": ["es2023", "dom"], "module": "nodenext", "moduleResolution": "nodenext", "types": [],
            "preserveSymlinks": true,
        },
        "files": [file],
    });
    std::fs::write(folder.join("tsconfig.json"), config.to_string()).expect("written");
    std::fs::write(folder.join("package.json"), r#"{ "type": "module" }"#).expect("written");
    let mut command = Command::new("node");
    command.arg(npm::type_checker()).arg("--project").arg(folder);
    let said = Said::of(command.output().expect("node is installed (cargo xtask test does it)"));
    assert_eq!(said.code, 0, "{}", said.out);
}
