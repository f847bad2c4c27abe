//! The committed schema of all documents that cross the boundary. A difference is a change of the plugin API: see
//! docs/plugin-abi.md for what is allowed, then `QJAIL_BLESS=1 cargo test -p qjail-plugin-api`.

use qjail_plugin_api::schemars::{JsonSchema, SchemaGenerator};
use qjail_plugin_api::serde_json::{Value, json};
use qjail_plugin_api::{
    API_VERSION, CAPABILITIES, CommandReply, CommandRequest, HookRequest, HostInfo, Interface, JailInfo,
    Manifest, Objection, Plan, PluginError, Progress, Resolved, StepRequest,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugin-api.schema.json");

fn operation<Q: JsonSchema, A: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({"request": generator.subschema_for::<Q>(), "answer": generator.subschema_for::<A>()})
}

fn schema() -> Value {
    let mut g = SchemaGenerator::default();
    let plugin = json!({
        "describe": {"answer": g.subschema_for::<Manifest>()},
        "resolve/1": operation::<HookRequest, Resolved>(&mut g),
        "validate/1": operation::<HookRequest, Vec<Objection>>(&mut g),
        "plan/1": operation::<HookRequest, Plan>(&mut g),
        "command/1": operation::<CommandRequest, CommandReply>(&mut g),
        "step/1": operation::<StepRequest, ()>(&mut g),
        "undo/1": operation::<StepRequest, ()>(&mut g),
    });
    let host = json!({
        "jails/1": operation::<(), Vec<JailInfo>>(&mut g),
        "running/1": operation::<(), Vec<String>>(&mut g),
        "interfaces/1": operation::<(), Vec<Interface>>(&mut g),
        "host/1": operation::<(), HostInfo>(&mut g),
        "progress/1": operation::<Progress, ()>(&mut g),
        "cancelled/1": operation::<(), bool>(&mut g),
    });
    let error = g.subschema_for::<PluginError>();
    json!({
        "title": "Documents between qjail and its plugins",
        "version": API_VERSION,
        "capabilities": CAPABILITIES,
        "plugin": plugin,
        "host": host,
        "error": error,
        "$defs": g.take_definitions(true),
    })
}

#[test]
fn the_committed_schema_is_the_present_one() {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap();
    text.push('\n');
    if std::env::var_os("QJAIL_BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let committed = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let first = text.lines().zip(committed.lines()).position(|(a, b)| a != b);
    assert!(
        text == committed,
        "docs/plugin-api.schema.json differs from line {:?} on",
        first.map(|n| n + 1)
    );
}
