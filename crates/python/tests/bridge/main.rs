//! The bridge with an interpreter inside: what apps see, and what the server gets back.
