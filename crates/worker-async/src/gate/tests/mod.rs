//! The gate's tests: tables of literal bytes for the pure parts, and the same bytes through hyper.

mod chunks;
pub(crate) mod corpus;
mod harness;
mod heads;
mod life;
mod random;
mod switches;
mod wire;
