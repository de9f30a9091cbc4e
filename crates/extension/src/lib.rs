//! The extension module inside the wheel: glue.
