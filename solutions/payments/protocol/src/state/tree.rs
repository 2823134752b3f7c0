//! The tree behind [`State`](super::State): a persistent crit-bit tree with lazily computed hashes.

use std::sync::{Arc, OnceLock};

use alloy::primitives::{Address, B256};

use super::{Leaf, Slot};
use crate::abi::hash_pair;

/// One stored leaf.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) account: Address,
    pub(super) leaf: Leaf,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Entry>),
    Branch(Arc<Branch>),
}

/// A place where slots part: every slot below shares its first `depth` bits.
#[derive(Clone, Debug)]
struct Branch {
    depth: usize,
    children: [Node; 2],
    /// Hash of each child as this branch sees it, at `depth + 1`.
    tops: [OnceLock<B256>; 2],
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    root: Option<Node>,
    /// Hash at depth 0.
    top: OnceLock<B256>,
    len: usize,
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn root(&self) -> B256 {
        match &self.root {
            None => B256::ZERO,
            Some(node) => *self.top.get_or_init(|| node.seen_from(0)),
        }
    }

    /// Computes the hashes below the place that the first `bits` bits of `slot` lead to.
    pub(super) fn hash_below(&self, slot: &Slot, bits: usize) {
        let mut node = self.root.as_ref();
        while let Some(Node::Branch(branch)) = node {
            let child = &branch.children[slot.bit(branch.depth)];
            match child {
                Node::Branch(next) if next.depth < bits => node = Some(child),
                _ => {
                    branch.top(slot.bit(branch.depth));
                    return;
                }
            }
        }
    }

    pub(super) fn get(&self, slot: &Slot) -> Option<&Entry> {
        let entry = self.root.as_ref()?.nearest(slot);
        (entry.slot == *slot).then_some(entry)
    }

    pub(super) fn set(&mut self, entry: Entry) {
        let present = self.get(&entry.slot).is_some();
        match (entry.leaf.is_empty(), present) {
            (true, false) => return,
            (true, true) => {
                self.root = self.root.take().and_then(|node| node.without(&entry.slot));
                self.len = self.len.saturating_sub(1);
            }
            (false, _) => {
                match &mut self.root {
                    None => self.root = Some(Node::Leaf(Arc::new(entry))),
                    Some(node) => {
                        let split = node.nearest(&entry.slot).slot.divergence(&entry.slot);
                        node.place(entry, split);
                    }
                }
                self.len = self.len.saturating_add(usize::from(!present));
            }
        }
        self.top = OnceLock::new();
    }

    /// What a slot's path ends at, the stored leaf there if there is one, and the siblings on the way, leaf upwards.
    ///
    /// The leaf is the slot's own or that of another slot which nothing stored parts from this one.
    pub(super) fn path(&self, slot: &Slot) -> (Option<&Entry>, Vec<B256>) {
        let mut siblings = Vec::new();
        let Some(mut node) = self.root.as_ref() else {
            return (None, siblings);
        };
        let split = node.nearest(slot).slot.divergence(slot);
        while let Node::Branch(branch) = node {
            // The levels above a branching that all slots below it share have an empty sibling.
            if let Some(depth) = split
                && depth < branch.depth
            {
                siblings.resize(depth, B256::ZERO);
                siblings.push(node.seen_from(depth.saturating_add(1)));
                siblings.reverse();
                return (None, siblings);
            }
            siblings.resize(branch.depth, B256::ZERO);
            let side = slot.bit(branch.depth);
            siblings.push(branch.top(1 - side));
            node = &branch.children[side];
        }
        siblings.reverse();
        let Node::Leaf(entry) = node else {
            return (None, siblings);
        };
        (Some(entry), siblings)
    }

    /// Leaves from left to right.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let mut open: Vec<&Node> = self.root.iter().collect();
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Node::Leaf(entry) => return Some(entry.as_ref()),
                    Node::Branch(branch) => {
                        open.push(&branch.children[1]);
                        open.push(&branch.children[0]);
                    }
                }
            }
        })
    }
}

impl Node {
    /// Some stored leaf below that shares the longest stored prefix with `slot`.
    fn nearest(&self, slot: &Slot) -> &Entry {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(entry) => return entry,
                Node::Branch(branch) => node = &branch.children[slot.bit(branch.depth)],
            }
        }
    }

    /// Puts an entry below this node. `split` is the depth at which its slot parts from the nearest stored one; `None` replaces.
    /// Recursion is bounded by [`DEPTH`](super::DEPTH).
    fn place(&mut self, entry: Entry, split: Option<usize>) {
        if let Node::Branch(branch) = self
            && split.is_none_or(|depth| branch.depth < depth)
        {
            let branch = Arc::make_mut(branch);
            let side = entry.slot.bit(branch.depth);
            branch.tops[side] = OnceLock::new();
            return branch.children[side].place(entry, split);
        }
        let Some(depth) = split else {
            *self = Node::Leaf(Arc::new(entry));
            return;
        };
        let side = entry.slot.bit(depth);
        let new = Node::Leaf(Arc::new(entry));
        let old = self.clone();
        let children = if side == 0 { [new, old] } else { [old, new] };
        *self = Node::Branch(Arc::new(Branch { depth, children, tops: Default::default() }));
    }

    /// This node without the entry in `slot`, which is known to be stored here.
    fn without(self, slot: &Slot) -> Option<Node> {
        let Node::Branch(mut shared) = self else {
            return None;
        };
        let branch = Arc::make_mut(&mut shared);
        let side = slot.bit(branch.depth);
        match branch.children[side].clone().without(slot) {
            Some(child) => {
                branch.children[side] = child;
                branch.tops[side] = OnceLock::new();
                Some(Node::Branch(shared))
            }
            None => Some(branch.children[1 - side].clone()),
        }
    }

    /// Hash of the subtree whose place is at `depth`, at or above this node's own. A leaf is its own subtree wherever it is.
    fn seen_from(&self, depth: usize) -> B256 {
        let branch = match self {
            Node::Leaf(entry) => return entry.leaf.hash(entry.account),
            Node::Branch(branch) => branch,
        };
        let mut hash = hash_pair(&branch.top(0), &branch.top(1));
        if depth < branch.depth {
            // Any leaf below tells the bits of the levels that were left out.
            let slot = self.nearest(&Slot([0; 20])).slot;
            for level in (depth..branch.depth).rev() {
                hash = match slot.bit(level) {
                    0 => hash_pair(&hash, &B256::ZERO),
                    _ => hash_pair(&B256::ZERO, &hash),
                };
            }
        }
        hash
    }
}

impl Branch {
    fn top(&self, side: usize) -> B256 {
        *self.tops[side].get_or_init(|| self.children[side].seen_from(self.depth + 1))
    }
}
