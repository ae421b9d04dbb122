//! The examples beside this file are programs of their own; cargo wants a library to hang them on.
