//! One function a command: a call over the control socket, and a table.

pub(crate) mod actions;
pub(crate) mod approvals;
pub(crate) mod callers;
pub(crate) mod grants;
pub(crate) mod policies;
pub(crate) mod solutions;
pub(crate) mod value;
pub(crate) mod wallet;
