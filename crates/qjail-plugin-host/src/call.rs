//! Typed calls of plugins.

use std::time::{Duration, Instant};

use qjail_plugin_abi::{Library, OwnedBytes, RawHost, RawService};
use qjail_plugin_api::{
    CommandReply, CommandRequest, HookRequest, HostPort, LogLevel, Objection, Plan, Plugin, PluginError,
    Resolved, StepRequest, contain, dispatch, level_of,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contact::{self, Contained, GaveUp};
use crate::registry::{Body, Entry, Registry};
use crate::{REPLY_LIMIT, plan};

/// Answers that take longer are mentioned in the log.
const SLOW: Duration = Duration::from_secs(5);

impl Registry {
    /// Asks a plugin for values of its options that were not given.
    ///
    /// # Errors
    /// The plugin's own error; or one with the code `refused` (there is no such plugin), `panic`, `timeout` or `bad-reply`.
    pub fn resolve(
        &self,
        plugin: &str,
        port: &dyn HostPort,
        request: &HookRequest,
    ) -> Result<Resolved, PluginError> {
        self.question(plugin, port, "resolve/1", request)
    }

    /// Asks a plugin for its objections.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub fn validate(
        &self,
        plugin: &str,
        port: &dyn HostPort,
        request: &HookRequest,
    ) -> Result<Vec<Objection>, PluginError> {
        self.question(plugin, port, "validate/1", request)
    }

    /// Asks a plugin what it wants done for an event. The plan is checked, and its own steps bear the plugin's name.
    ///
    /// # Errors
    /// As [`Registry::resolve`]; `bad-reply` too for a plan that this plugin may not make.
    pub fn plan(
        &self,
        plugin: &str,
        port: &dyn HostPort,
        request: &HookRequest,
    ) -> Result<Plan, PluginError> {
        let mut answer: Plan = self.question(plugin, port, "plan/1", request)?;
        self.check_plan(plugin, "plan/1", &mut answer)?;
        Ok(answer)
    }

    /// Asks a plugin to answer one of its subcommands. Its plan is checked as in [`Registry::plan`].
    ///
    /// # Errors
    /// As [`Registry::plan`].
    pub fn command(
        &self,
        plugin: &str,
        port: &dyn HostPort,
        request: &CommandRequest,
    ) -> Result<CommandReply, PluginError> {
        let mut answer: CommandReply = self.question(plugin, port, "command/1", request)?;
        self.check_plan(plugin, "command/1", &mut answer.plan)?;
        Ok(answer)
    }

    /// Lets a plugin run a step of its own, for as long as it takes.
    ///
    /// # Errors
    /// As [`Registry::resolve`], without `timeout`.
    pub fn step(&self, plugin: &str, port: &dyn HostPort, request: &StepRequest) -> Result<(), PluginError> {
        let entry = self.used(plugin)?;
        entry.still_stands()?;
        self.act(entry, port, "step/1", request)
    }

    /// Lets a plugin undo a step of its own, for as long as it takes; even one that has panicked before.
    ///
    /// # Errors
    /// As [`Registry::step`].
    pub fn undo(&self, plugin: &str, port: &dyn HostPort, request: &StepRequest) -> Result<(), PluginError> {
        self.act(self.used(plugin)?, port, "undo/1", request)
    }

    fn question<Q: Serialize, A: DeserializeOwned>(
        &self,
        plugin: &str,
        port: &dyn HostPort,
        op: &'static str,
        request: &Q,
    ) -> Result<A, PluginError> {
        let entry = self.used(plugin)?;
        entry.still_stands()?;
        let code = entry.code(self.patience)?;
        let request = to_bytes(op, request)?;
        let began = Instant::now();
        let answer = contact::serve(port, self.patience, move |remote| code.call(remote, op, &request));
        let took = began.elapsed();
        if took > SLOW {
            let line = format!("plugin {plugin} took {:.1} s to answer {op}", took.as_secs_f32());
            Contained(port).log(LogLevel::Warn, &line);
        }
        match answer {
            Ok(answer) => entry.read(op, answer?),
            Err(GaveUp::Time) => Err(entry.gave_up(op, self.patience)),
            Err(GaveUp::Cancelled) => Err(PluginError::with_code("cancelled", "interrupted")),
        }
    }

    fn act(
        &self,
        entry: &Entry,
        port: &dyn HostPort,
        op: &'static str,
        request: &StepRequest,
    ) -> Result<(), PluginError> {
        let code = entry.code(self.patience)?;
        let request = to_bytes(op, request)?;
        let answer = contain(|| Ok(code.call(&Contained(port), op, &request)));
        entry.read::<()>(op, answer?)
    }

    fn check_plan(&self, plugin: &str, op: &str, answer: &mut Plan) -> Result<(), PluginError> {
        let entry = self.used(plugin)?;
        plan::check(&entry.manifest, answer)
            .map_err(|why| defect("bad-reply", format!("plugin {plugin} wants, in {op}, {why}")))
    }
}

/// The code of a plugin, ready to be called from any thread.
#[derive(Clone, Copy)]
enum Code {
    BuiltIn(&'static dyn Plugin),
    Library(Library),
}

/// An answer that has been looked at from outside only.
enum Answer {
    Good(Vec<u8>),
    Error(Vec<u8>),
    TooLarge(usize),
}

impl Code {
    fn call(self, port: &dyn HostPort, op: &str, request: &[u8]) -> Answer {
        match self {
            Self::BuiltIn(plugin) => match dispatch(plugin, port, op, request) {
                Ok(body) => Answer::measured(&body).unwrap_or(Answer::Good(body)),
                Err(body) => Answer::measured(&body).unwrap_or(Answer::Error(body)),
            },
            Self::Library(library) => {
                let service = Service(port);
                let copy = |body: &OwnedBytes| body.as_slice().to_vec();
                match library.call(&RawHost::new(&service), op.as_bytes(), request) {
                    Ok(body) => {
                        Answer::measured(body.as_slice()).unwrap_or_else(|| Answer::Good(copy(&body)))
                    }
                    Err(body) => {
                        Answer::measured(body.as_slice()).unwrap_or_else(|| Answer::Error(copy(&body)))
                    }
                }
            }
        }
    }
}

impl Answer {
    fn measured(body: &[u8]) -> Option<Self> {
        (body.len() > REPLY_LIMIT).then_some(Self::TooLarge(body.len()))
    }
}

/// The host's services in the form in which they cross the boundary.
struct Service<'a>(&'a dyn HostPort);

impl RawService for Service<'_> {
    fn log(&self, level: u8, message: &[u8]) {
        self.0.log(level_of(level), &String::from_utf8_lossy(message));
    }

    fn call(&self, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        self.0.call(&String::from_utf8_lossy(op), request)
    }
}

fn to_bytes<Q: Serialize>(op: &str, request: &Q) -> Result<Vec<u8>, PluginError> {
    serde_json::to_vec(request).map_err(|e| PluginError::with_code("bad-document", format!("{op}: {e}")))
}

fn defect(code: &str, message: String) -> PluginError {
    PluginError::with_code(code, message)
        .hint("this is a defect of the plugin; please report it to its author")
}

impl Entry {
    fn code(&self, patience: Duration) -> Result<Code, PluginError> {
        match &self.body {
            Body::BuiltIn(plugin) => Ok(Code::BuiltIn(*plugin)),
            Body::File(file) => Ok(Code::Library(file.library(patience)?)),
        }
    }

    fn still_stands(&self) -> Result<(), PluginError> {
        match self.fell.get() {
            None => Ok(()),
            Some(what) => {
                let message = format!("plugin {} {what} before and is not asked again", self.name());
                Err(PluginError::with_code("refused", message))
            }
        }
    }

    fn gave_up(&self, op: &str, patience: Duration) -> PluginError {
        self.fell.get_or_init(|| "did not answer");
        let name = self.name();
        defect(
            "timeout",
            format!(
                "plugin {name} has not answered {op} for {} s",
                patience.as_secs_f32()
            ),
        )
    }

    fn read<A: DeserializeOwned>(&self, op: &str, answer: Answer) -> Result<A, PluginError> {
        match answer {
            Answer::Good(body) => self.read_answer(op, &body),
            Answer::Error(body) => Err(self.read_error(op, &body)),
            Answer::TooLarge(size) => {
                let message = format!(
                    "plugin {} answered {op} with {size} bytes, more than {REPLY_LIMIT}",
                    self.name()
                );
                Err(defect("bad-reply", message))
            }
        }
    }

    fn read_answer<A: DeserializeOwned>(&self, op: &str, body: &[u8]) -> Result<A, PluginError> {
        let name = self.name();
        serde_json::from_slice(body).map_err(|e| match plan::bad_step(body) {
            Some(what) => {
                PluginError::with_code("bad-reply", format!("plugin {name} answered {op} with {what}"))
                    .hint("update qjail, or install the plugin's package for this version of qjail")
            }
            None => defect(
                "bad-reply",
                format!("plugin {name} answered {op} with something that can not be read: {e}"),
            ),
        })
    }

    fn read_error(&self, op: &str, body: &[u8]) -> PluginError {
        let name = self.name();
        let silent = || PluginError::with_code("panic", "it could not say why");
        let error = if body.is_empty() {
            Ok(silent())
        } else {
            serde_json::from_slice::<PluginError>(body)
        };
        match error {
            Ok(error) if error.code == "panic" => {
                self.fell.get_or_init(|| "panicked");
                let message = format!("plugin {name} panicked in {op}: {}", error.message);
                PluginError {
                    causes: error.causes,
                    ..defect("panic", message)
                }
            }
            Ok(error) => error,
            Err(e) => defect(
                "bad-reply",
                format!("plugin {name} failed at {op}, and why can not be read: {e}"),
            ),
        }
    }
}
