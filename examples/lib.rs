//! The examples in this folder are programs; cargo needs a library in their package.
