//! qjail-passwd
