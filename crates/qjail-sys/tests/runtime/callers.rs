//! This program as a caller of the runtime that can be killed, has its own output or its own terminal.
use std::path::PathBuf;
use std::time::Instant;

use crate::runtime::{ExecSpec, Runtime, StartSpec};

/// `__exec RUN NAME SPEC`: ends as the command did.
pub(crate) fn exec(args: &[String]) -> i32 {
    let runtime = Runtime::new(PathBuf::from(&args[0]));
    let spec: ExecSpec = serde_json::from_str(&args[2]).unwrap();
    match runtime.exec(&args[1], &spec) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{error}");
            125
        }
    }
}

/// `__start RUN SPEC`: tells the number of process 1 and the milliseconds that the start took.
pub(crate) fn start(args: &[String]) -> i32 {
    let runtime = Runtime::new(PathBuf::from(&args[0]));
    let spec: StartSpec = serde_json::from_str(&args[1]).unwrap();
    let begin = Instant::now();
    match runtime.start(&spec, &|| false, &mut |_| Ok(())) {
        Ok(pid) => {
            println!("{pid} {:?}", begin.elapsed());
            0
        }
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
