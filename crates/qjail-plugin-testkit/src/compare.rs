//! Comparing documents with what a test expects.

use serde::Serialize;
use serde_json::Value;

/// Panics unless `actual` is, as JSON, what `expected` says; shows both where they first differ.
///
/// Members of `actual` that are null or empty may be left out of `expected`: a plan has many of them.
///
/// # Panics
/// When they differ, or `expected` is no JSON.
#[track_caller]
pub fn assert_json(actual: &impl Serialize, expected: &str) {
    let actual = serde_json::to_value(actual).map(thin);
    let expected = serde_json::from_str::<Value>(expected).map(thin);
    match (actual, expected) {
        (Ok(actual), Ok(expected)) if actual == expected => {}
        (Ok(actual), Ok(expected)) => panic!("{}", difference(&actual, &expected)),
        (Err(e), _) => panic!("the document can not be written: {e}"),
        (_, Err(e)) => panic!("what is expected is no JSON: {e}"),
    }
}

fn thin(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.into_iter().map(|(k, v)| (k, thin(v)));
            Value::Object(members.filter(|(_, v)| !is_nothing(v)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(thin).collect()),
        other => other,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn difference(actual: &Value, expected: &Value) -> String {
    let (actual, expected) = (format!("{actual:#}"), format!("{expected:#}"));
    let at = actual
        .lines()
        .zip(expected.lines())
        .take_while(|(a, e)| a == e)
        .count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").trim().to_owned();
    format!(
        "line {}: {}\n expected: {}\nall of it:\n{actual}",
        at + 1,
        line(&actual),
        line(&expected)
    )
}
