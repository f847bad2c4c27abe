//! qjail-plugin-net
