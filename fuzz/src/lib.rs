//! What the fuzz targets share: a second opinion on HTTP, hyper in memory, and ways to cut bytes into pieces.

pub mod connection;
pub mod http1;
pub mod live;
pub mod pieces;
pub mod socket;
