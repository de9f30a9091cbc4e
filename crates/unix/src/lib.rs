//! The one place that talks to the kernel by hand, and speaks safe Rust upward.
//!
//! It knows nothing of HTTP, settings or Python. Each module is one concern; every descriptor that it makes is
//! closed on exec.

#![allow(unsafe_code)]

mod alarm;
mod away;
pub mod background;
mod bell;
pub mod clock;
pub mod control;
pub mod cpus;
pub mod environment;
pub mod epoll;
mod exit;
mod fork;
pub mod heap;
pub mod identity;
mod inheritance;
pub mod limits;
pub mod listener;
pub mod memfd;
pub mod memory;
mod notices;
mod oom;
pub mod peer;
pub mod pidfile;
pub mod poll;
pub mod post;
pub mod queue;
pub mod scoreboard;
pub mod signal;
pub mod socket;
mod stdio;
pub mod systemd;
pub mod terminal;
pub mod title;
pub mod upgrade;
pub mod wait;
mod watch;

pub use alarm::Alarm;
pub use away::{Away, Newborn, adopt_orphans, end_with_parent, fork_away};
pub use bell::Bell;
pub use exit::exit_now;
pub use fork::{Fork, fork, fork_beside_threads};
pub use inheritance::Inheritance;
pub use listener::{Address, Listener, Local};
pub use notices::Notices;
pub use oom::OomKills;
pub use stdio::fill_standard_streams;
pub use watch::{Place, Watch};
