//! Whoever reads the contract finds every door described: what it is for, each argument, what it gives.

const SOURCES: [&str; 2] =
    [include_str!("../../contracts/PaymentsGateway.sol"), include_str!("../../contracts/ILayer2Gateway.sol")];

/// A declaration with the comment above it.
struct Declared<'a> {
    kind: &'a str,
    name: &'a str,
    parameters: Vec<&'a str>,
    /// From the closing parenthesis up to the body or the semicolon.
    rest: &'a str,
    comment: String,
}

/// Last words of a list of parameters; none of those without a name.
fn names(list: &str) -> Vec<&str> {
    let words = list.split(',').map(|parameter| parameter.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words.len() > 1).filter_map(|words| words.last().copied()).collect()
}

/// Functions, events and errors of a source, with their comments.
fn declared(source: &str) -> Vec<Declared<'_>> {
    let mut found = Vec::new();
    let (mut comment, mut at) = (String::new(), 0);
    for line in source.split_inclusive('\n') {
        let text = line.trim();
        let kind = ["function", "event", "error"].into_iter().find(|kind| text.starts_with(&format!("{kind} ")));
        if let Some(kind) = kind {
            let declaration = &source[at..];
            let (head, after) = declaration.split_once('(').unwrap();
            let (list, rest) = after.split_once(')').unwrap();
            let name = head.split_whitespace().last().unwrap();
            let rest = rest.split(['{', ';']).next().unwrap();
            found.push(Declared { kind, name, parameters: names(list), rest, comment: std::mem::take(&mut comment) });
        } else if text.starts_with("///") {
            comment.push_str(line);
        } else {
            comment.clear();
        }
        at += line.len();
    }
    found
}

#[test]
fn every_door_is_described() {
    let mut doors = 0;
    for declared in SOURCES.into_iter().flat_map(declared) {
        let Declared { kind, name, parameters, rest, comment } = declared;
        let public = rest.contains("external") || rest.contains("public");
        if kind == "function" && !public || comment.contains("@inheritdoc") {
            continue;
        }
        doors += 1;
        assert!(comment.contains("@notice "), "{kind} {name} has no @notice");
        if kind == "function" {
            for parameter in parameters {
                assert!(comment.contains(&format!("@param {parameter} ")), "{name} does not say what {parameter} is");
            }
            assert!(comment.contains("@return") == rest.contains("returns"), "{name} does not say what it gives");
        }
    }
    assert!(doors > 60, "only {doors} found: the sources have another form than this test expects");
}
