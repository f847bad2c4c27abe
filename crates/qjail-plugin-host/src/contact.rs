//! Asking a plugin without becoming its hostage: in a thread that can be given up.
//!
//! The caller's services are borrowed and may be used by the plugin only while it is waited for, so the thread gets none of
//! them: it sends its wishes back, the waiting caller carries them out. Once the caller has given up, nobody listens.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use qjail_plugin_api::{HostPort, LogLevel, PluginError, contain};

/// How often the user is asked whether to go on waiting.
const GLANCE: Duration = Duration::from_millis(200);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    /// The time is up, or no thread could be had.
    Time,
    /// The user wants to end.
    Cancelled,
}

enum Wish<T> {
    Log(LogLevel, String),
    Call {
        op: String,
        request: Vec<u8>,
        answer: Sender<Result<Vec<u8>, Vec<u8>>>,
    },
    Done(T),
}

/// The port of the thread: everything goes to the caller.
struct Remote<T>(Sender<Wish<T>>);

impl<T> HostPort for Remote<T> {
    fn log(&self, level: LogLevel, message: &str) {
        // Nobody listens any more: the line is lost, as the answer will be.
        let _lost = self.0.send(Wish::Log(level, message.to_owned()));
    }

    fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let (answer, answers) = channel();
        let wish = Wish::Call {
            op: op.to_owned(),
            request: request.to_vec(),
            answer,
        };
        if self.0.send(wish).is_err() {
            return Err(gone());
        }
        answers.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Vec<u8> {
    to_bytes(&PluginError::with_code(
        "cancelled",
        "qjail no longer waits for this answer",
    ))
}

fn to_bytes(error: &PluginError) -> Vec<u8> {
    serde_json::to_vec(error).unwrap_or_default()
}

/// A port whose services can not panic.
pub(crate) struct Contained<'a>(pub(crate) &'a dyn HostPort);

impl HostPort for Contained<'_> {
    fn log(&self, level: LogLevel, message: &str) {
        let _lost = contain(|| {
            self.0.log(level, message);
            Ok(())
        });
    }

    fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        contain(|| Ok(self.0.call(op, request))).unwrap_or_else(|e| {
            let message = format!("the host's service {op} panicked: {}", e.message);
            Err(to_bytes(&PluginError {
                causes: e.causes,
                ..PluginError::with_code("host-panic", message)
            }))
        })
    }
}

/// Runs `work` in a thread and serves its wishes until it is done, or until it was waited for as long as `patience`.
/// The time that the services take does not count.
pub(crate) fn serve<T: Send + 'static>(
    port: &dyn HostPort,
    patience: Duration,
    work: impl FnOnce(&dyn HostPort) -> T + Send + 'static,
) -> Result<Result<T, PluginError>, GaveUp> {
    let (sender, wishes) = channel();
    let run = move || {
        let remote = Remote(sender);
        let result = contain(|| Ok(work(&remote)));
        // Fails when the caller has given up.
        let _unheard = remote.0.send(Wish::Done(result));
    };
    thread::Builder::new()
        .name("plugin".to_owned())
        .spawn(run)
        .map_err(|_| GaveUp::Time)?;
    listen(&Contained(port), patience, &wishes)
}

fn listen<T>(port: &dyn HostPort, patience: Duration, wishes: &Receiver<Wish<T>>) -> Result<T, GaveUp> {
    let mut waited = Duration::ZERO;
    loop {
        let began = Instant::now();
        let wish = wishes.recv_timeout(patience.saturating_sub(waited).min(GLANCE));
        waited += began.elapsed();
        match wish {
            Ok(Wish::Done(result)) => return Ok(result),
            Ok(Wish::Log(level, message)) => port.log(level, &message),
            Ok(Wish::Call { op, request, answer }) => {
                // Fails when the thread no longer waits, which only one that ended can do.
                let _unheard = answer.send(port.call(&op, &request));
            }
            Err(RecvTimeoutError::Timeout) if waited < patience => {
                if port
                    .call("cancelled/1", b"null")
                    .is_ok_and(|answer| answer == b"true")
                {
                    return Err(GaveUp::Cancelled);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(GaveUp::Time),
        }
    }
}

/// Runs `work`, which needs no host, for at most `patience`.
pub(crate) fn wait<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, PluginError>, GaveUp> {
    serve(&Nobody, patience, move |_| work())
}

struct Nobody;

impl HostPort for Nobody {
    fn log(&self, _level: LogLevel, _message: &str) {}

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        Err(to_bytes(&PluginError::with_code(
            "unknown-op",
            format!("there is no service {op} here"),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Local {
        lines: RefCell<Vec<String>>,
    }

    impl HostPort for Local {
        fn log(&self, _level: LogLevel, message: &str) {
            self.lines.borrow_mut().push(message.to_owned());
        }

        fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
            match op {
                "slow/1" => {
                    thread::sleep(Duration::from_millis(400));
                    Ok(request.to_vec())
                }
                "panic/1" => panic!("no service today"),
                _ => Ok(request.iter().rev().copied().collect()),
            }
        }
    }

    #[test]
    fn a_borrowed_port_serves_the_thread() {
        let port = Local::default();
        let answer = serve(&port, Duration::from_secs(5), |p| {
            p.log(LogLevel::Info, "hello");
            p.call("reverse/1", b"abc")
        });
        assert_eq!(answer, Ok(Ok(Ok(b"cba".to_vec()))));
        assert_eq!(*port.lines.borrow(), ["hello"]);
    }

    #[test]
    fn the_time_of_services_does_not_count() {
        let answer = serve(&Local::default(), Duration::from_millis(200), |p| {
            p.call("slow/1", b"x")
        });
        assert_eq!(answer, Ok(Ok(Ok(b"x".to_vec()))));
    }

    #[test]
    fn a_thread_that_hangs_is_given_up_and_cut_off() {
        let (said, hears) = channel();
        let answer = serve(&Local::default(), Duration::from_millis(50), move |p| {
            thread::sleep(Duration::from_millis(300));
            said.send(p.call("reverse/1", b"abc")).unwrap();
        });
        assert_eq!(answer, Err(GaveUp::Time));
        let late = hears.recv_timeout(Duration::from_secs(5)).unwrap().unwrap_err();
        assert!(String::from_utf8_lossy(&late).contains("no longer waits"));
    }

    #[test]
    fn a_user_who_wants_to_end_need_not_wait() {
        struct Impatient;
        impl HostPort for Impatient {
            fn log(&self, _level: LogLevel, _message: &str) {}
            fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
                assert_eq!(op, "cancelled/1");
                Ok(b"true".to_vec())
            }
        }
        let began = Instant::now();
        let answer = serve(&Impatient, Duration::from_secs(60), |_| {
            thread::sleep(Duration::from_secs(2));
        });
        assert_eq!(answer, Err(GaveUp::Cancelled));
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn panics_on_either_side_become_errors() {
        let answer = serve(&Local::default(), Duration::from_secs(5), |_| -> u8 {
            panic!("mine")
        });
        assert_eq!(answer.unwrap().unwrap_err().message, "mine");
        let answer = serve(&Local::default(), Duration::from_secs(5), |p| {
            p.call("panic/1", b"")
        });
        let error = String::from_utf8(answer.unwrap().unwrap().unwrap_err()).unwrap();
        assert!(
            error.contains("the host's service panic/1 panicked: no service today"),
            "{error}"
        );
    }
}
