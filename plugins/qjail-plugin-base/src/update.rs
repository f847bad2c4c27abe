//! `update`: what can be changed of an installation. So far that is the log of commands, which `install -l` switches on.

use qjail_plugin_api::{
    ArgSpec, CommandReply, CommandRequest, CommandSpec, Example, Plan, PluginError, Step,
};

pub(crate) fn spec() -> CommandSpec {
    let log = ArgSpec {
        choices: ["on", "off"].map(str::to_owned).to_vec(),
        required: true,
        ..ArgSpec::option(
            "log",
            Some('l'),
            "on|off",
            "Switch the log of commands, /var/log/qjail.log, on or off",
        )
    };
    CommandSpec {
        name: "update".to_owned(),
        about: "Switch the log of commands on or off".to_owned(),
        long_about: "Switches the log of commands on or off, as `qjail log --on` and `--off` do. A newer base is made the \
                     current one by `qjail install`."
            .to_owned(),
        args: vec![log],
        examples: vec![Example {
            line: "update -l on".to_owned(),
            about: "every command that changes something is logged from now on".to_owned(),
        }],
        needs_root: true,
        lock: Some("base".to_owned()),
        ..CommandSpec::default()
    }
}

pub(crate) fn command(request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let word = request.options.text("log").unwrap_or_default();
    let on = match word {
        "on" => true,
        "off" => false,
        _ => return Err(PluginError::with_code("usage", "update: --log takes on or off")),
    };
    Ok(CommandReply {
        plan: Plan {
            commit: vec![Step::SwitchLog { on }],
            notes: vec![format!("The log is {word}.")],
            ..Plan::default()
        },
        output: None,
    })
}
