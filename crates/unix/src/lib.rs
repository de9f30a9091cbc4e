//! The one place that talks to the kernel by hand.
