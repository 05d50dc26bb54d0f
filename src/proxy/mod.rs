//! A proxy: the gateway without a node of its own.
