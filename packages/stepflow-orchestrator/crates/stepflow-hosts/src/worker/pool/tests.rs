//! The pool without processes.
