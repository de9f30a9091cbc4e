//! Serves HTTP with hyper on an inherited listener and drives the app.
