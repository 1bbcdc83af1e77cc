//! The end-to-end tests are in `end_to_end/`; nothing is exported.
