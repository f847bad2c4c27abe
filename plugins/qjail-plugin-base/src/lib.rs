//! qjail-plugin-base
