"""An app that keeps uploaded files."""
