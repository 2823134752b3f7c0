//! One function a command: a call over the control socket, and a table.

pub(crate) mod accounts;
pub(crate) mod actions;
pub(crate) mod approvals;
pub(crate) mod apps;
pub(crate) mod backups;
pub(crate) mod books;
pub(crate) mod callers;
pub(crate) mod grants;
pub(crate) mod own;
pub(crate) mod plugins;
pub(crate) mod policies;
pub(crate) mod screens;
pub(crate) mod solutions;
pub(crate) mod types;
pub(crate) mod value;
pub(crate) mod wallet;
