//! qjail-jailconf
