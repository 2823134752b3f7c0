use super::*;

struct Files {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Files {
    /// A home with `.npmrc` (user), `project/.npmrc` and `prefix/etc/npmrc` (global) as given; none when empty.
    fn new(global: &str, user: &str, project: &str, variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        for folder in ["prefix/etc", "project/deep/below"] {
            std::fs::create_dir_all(home.path().join(folder)).expect("created");
        }
        std::fs::write(home.path().join("project/package.json"), "{}").expect("written");
        for (path, text) in [("prefix/etc/npmrc", global), (".npmrc", user), ("project/.npmrc", project)] {
            if !text.is_empty() {
                std::fs::write(home.path().join(path), text).expect("written");
            }
        }
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { home, variables }
    }

    fn read(&self, npm: fn(&Surroundings, &str) -> Option<String>) -> NpmConfig {
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let mut variables: HashMap<_, _> = self.variables.iter().cloned().collect();
        variables.insert("HOME".into(), text(self.home.path().to_owned()));
        variables.insert("npm_config_prefix".into(), text(self.home.path().join("prefix")));
        NpmConfig::read(&Surroundings {
            variables,
            working_directory: Some(self.home.path().join("project/deep/below")),
            npm,
        })
    }

    fn registry(&self, package: &str) -> Result<String, String> {
        let config = self.read(|_, _| None);
        config.registry_for(package).map(|url| url.to_string()).map_err(|error| error.to_string())
    }
}

#[test]
fn the_nearest_source_names_the_registry() {
    let check = |global: &str, user: &str, project: &str, variables: &[(&str, &str)], expect: &str| {
        let found = Files::new(global, user, project, variables).registry("left-pad");
        assert_eq!(found.as_deref(), Ok(expect));
    };
    let (global, user, project) = (
        "registry=https://global.example",
        "registry = https://user.example/",
        "registry=\"https://project.example/npm\"",
    );
    check(global, "", "", &[], "https://global.example/");
    check(global, user, "", &[], "https://user.example/");
    check(global, user, project, &[], "https://project.example/npm/");
    check(global, user, project, &[("npm_config_registry", "https://env.example")], "https://env.example/");
    check(global, user, project, &[("NPM_CONFIG_REGISTRY", "https://upper.example")], "https://upper.example/");
    check(global, user, project, &[("npm_config_registry", "")], "https://project.example/npm/");
    check("", "registry=${MIRROR}/npm/", "", &[("MIRROR", "https://mirror.example")], "https://mirror.example/npm/");
    check(
        "",
        "# registry=https://no.example\n; registry=https://no.example\nregistry=https://yes.example",
        "",
        &[],
        "https://yes.example/",
    );
}

#[test]
fn a_scope_has_a_registry_of_its_own() {
    let files = Files::new("", "registry=https://general.example\n@example:registry=https://scoped.example", "", &[]);
    assert_eq!(files.registry("@example/small").as_deref(), Ok("https://scoped.example/"));
    assert_eq!(files.registry("@other/small").as_deref(), Ok("https://general.example/"));
    assert_eq!(files.registry("example").as_deref(), Ok("https://general.example/"));
}

#[test]
fn npm_itself_is_asked_last() {
    let files = Files::new("", "", "", &[]);
    let asked = files.read(|_, key| (key == "registry").then(|| "https://asked.example/".to_owned()));
    assert_eq!(asked.registry_for("small").expect("a registry").as_str(), "https://asked.example/");
    let set = Files::new("", "registry=https://user.example", "", &[]);
    let not_asked = set.read(|_, _| panic!("npm need not be started"));
    assert_eq!(not_asked.registry_for("small").expect("a registry").as_str(), "https://user.example/");
}

#[test]
fn without_a_registry_the_error_says_what_to_set() {
    let error = Files::new("", "", "", &[]).registry("small").expect_err("none");
    assert!(error.contains("set npm_config_registry, or put registry=<URL> into ~/.npmrc"), "{error}");
    let error = Files::new("", "registry=ftp://a.example", "", &[]).registry("small").expect_err("no URL");
    assert_eq!(error, "npm's setting registry is no http or https URL: \"ftp://a.example\"");
}

#[test]
fn credentials_go_to_their_own_place_only() {
    let user = "//a.example/npm/:_authToken=${TOKEN}\n//b.example/:_auth=dXNlcjpwdw==\n\
                //c.example:8443/:username=user\n//c.example:8443/:_password=cHc=\n";
    let config = Files::new("", user, "", &[("TOKEN", "secret")]).read(|_, _| None);
    let check = |url: &str, expect: Option<&str>| {
        let found = config.authorization(&Url::parse(url).expect("a URL"));
        assert_eq!(found.as_deref(), expect, "{url}");
    };
    check("https://a.example/npm/small", Some("Bearer secret"));
    check("https://a.example/npm/@x%2fsmall", Some("Bearer secret"));
    check("https://a.example/npm/small/-/small-1.0.0.tgz", Some("Bearer secret"));
    check("https://a.example/other/small", None);
    check("https://a.example.evil.example/npm/small", None);
    check("https://a.example:444/npm/small", None);
    check("https://b.example/small", Some("Basic dXNlcjpwdw=="));
    check("https://c.example:8443/small", Some("Basic dXNlcjpwdw=="));
    check("https://c.example/small", None);
    assert!(!format!("{config:?}").contains("secret"), "tokens stay out of debug output");
}

#[test]
fn other_settings_are_read_in_npms_spelling() {
    let config = Files::new(
        "",
        "cafile=/etc/ca.pem\nca[]=one\nca[]=two\nproxy=null",
        "",
        &[("NPM_CONFIG_HTTPS_PROXY", "http://proxy.example:3128")],
    )
    .read(|_, _| None);
    assert_eq!(config.get("cafile"), Some("/etc/ca.pem"));
    assert_eq!(config.get("ca"), Some("one\ntwo"));
    assert_eq!(config.get("proxy"), None, "npm writes null for unset");
    assert_eq!(config.get("https-proxy"), Some("http://proxy.example:3128"));
}
