//! Log files, however they rotate.
