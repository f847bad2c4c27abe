//! A host that answers what the test told it, and remembers what it was told.

use std::cell::{Cell, RefCell};

use qjail_plugin_api::{HostInfo, HostPort, Interface, JailInfo, LogLevel, PluginError, Progress};
use serde::Serialize;

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) jails: Vec<JailInfo>,
    pub(crate) running: Vec<String>,
    pub(crate) info: HostInfo,
    pub(crate) cancelled: Cell<bool>,
    pub(crate) log: RefCell<Vec<(LogLevel, String)>>,
    pub(crate) progress: RefCell<Vec<Progress>>,
}

impl HostPort for Recorder {
    fn log(&self, level: LogLevel, message: &str) {
        self.log.borrow_mut().push((level, message.to_owned()));
    }

    fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match op {
            "jails/1" => bytes(&self.jails),
            "running/1" => bytes(&self.running),
            "interfaces/1" => bytes(&self.interfaces),
            "host/1" => bytes(&self.info),
            "cancelled/1" => bytes(&self.cancelled.get()),
            "progress/1" => match serde_json::from_slice(request) {
                Ok(progress) => {
                    self.progress.borrow_mut().push(progress);
                    bytes(&())
                }
                Err(e) => Err(error("bad-document", &format!("progress/1: {e}"))),
            },
            _ => Err(error("unknown-op", &format!("the host has no service {op}"))),
        }
    }
}

fn bytes(answer: &impl Serialize) -> Result<Vec<u8>, Vec<u8>> {
    serde_json::to_vec(answer).map_err(|e| error("failed", &e.to_string()))
}

fn error(code: &str, message: &str) -> Vec<u8> {
    serde_json::to_vec(&PluginError::with_code(code, message)).unwrap_or_default()
}
