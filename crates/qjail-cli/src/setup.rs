//! Puts together what a command works with.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use qjail_core::{Engine, Error};
use qjail_plugin_api::{ArgSpec, CommandSpec};
use qjail_plugin_host::{HostConfig, Registry};
use qjail_store::{Layout, Os, Settings};

use crate::globals::Globals;
use crate::spec;
use crate::tree::Extended;
use crate::ui::{Terminal, Tone};
