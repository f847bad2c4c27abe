//! qjail-plugin-testkit
