//! Scripts that are started again and again.
//!
//! A start begins with the question which snapshot is the script's, and the answer is a digest over every source: for a
//! bundle of some hundred kilobytes that takes as long as restoring it. Whoever keeps the script keeps the answer too.

use std::borrow::Cow;
use std::sync::Arc;

use crate::machine::{self, Layer};
use crate::snapshot::{Key, Source};
use crate::{Limits, ModuleKind, Script};

/// One script with its prelude and its limits, ready to be started any number of times. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    limits: Limits,
    sources: Arc<[Source]>,
    key: Key,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Takes the sources; `name` is shown in stacks, as in [`Script`].
    #[must_use]
    pub fn new(limits: &Limits, prelude: &[Script<'static>], name: String, source: String, kind: ModuleKind) -> Self {
        let mut sources = vec![globals(Cow::Borrowed(machine::globals(limits)))];
        sources.extend(prelude.iter().map(|file| Source {
            layer: Layer::Prelude,
            kind: file.kind,
            name: Cow::Borrowed(file.name),
            text: Cow::Borrowed(file.source),
        }));
        sources.push(Source { layer: Layer::Script, kind, name: Cow::Owned(name), text: Cow::Owned(source) });
        let key = Key::new(limits, &sources);
        Self { limits: limits.clone(), sources: sources.into(), key }
    }

    /// What its instances may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn sources(&self) -> &Arc<[Source]> {
        &self.sources
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Prelude and script, as a recording keeps them.
    pub(crate) fn files(&self) -> (Vec<Script<'_>>, Option<Script<'_>>) {
        let of = |layer: Layer| {
            self.sources.iter().filter(move |source| source.layer as i32 == layer as i32).map(|source| Script {
                name: &source.name,
                source: &source.text,
                kind: source.kind,
            })
        };
        (of(Layer::Prelude).collect(), of(Layer::Script).next())
    }
}

/// The sandbox's own globals.
pub(crate) fn globals(text: Cow<'static, str>) -> Source {
    let name = Cow::Borrowed("entresol:globals");
    Source { layer: Layer::Globals, kind: ModuleKind::CommonJs, name, text }
}
