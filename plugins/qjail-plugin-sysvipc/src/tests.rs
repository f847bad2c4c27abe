//! The plugin as the host calls it.

use qjail_plugin_api::{Event, Plan};
use qjail_plugin_testkit::PluginTest;
use serde_json::{Value, json};

use super::{KINDS, OLD, Sysvipc};

fn planned(event: Event, options: &[(&str, Value)]) -> Plan {
    planned_for(None, event, options)
}

/// For a jail that has all kinds so.
fn planned_for(now: Option<&str>, event: Event, options: &[(&str, Value)]) -> Plan {
    let test = PluginTest::new(&Sysvipc);
    let mut request = test.request(event, "web", options);
    for kind in now.iter().flat_map(|_| KINDS) {
        request.jail.params.set(kind, now.unwrap_or_default());
    }
    assert_eq!(test.validate(&request).unwrap(), []);
    test.plan(&request).unwrap()
}

/// The one value of all kinds; none where they are taken away.
fn value(plan: &Plan) -> Option<String> {
    assert_eq!(plan.params[OLD], None);
    let values: Vec<_> = KINDS.iter().map(|kind| &plan.params[*kind]).collect();
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
    values[0].as_ref().map(ToString::to_string)
}

#[test]
fn on_is_new_and_off_takes_them_away() {
    let on = planned(Event::Config, &[("sysvipc-on", json!(true))]);
    assert_eq!(value(&on).as_deref(), Some("new"));
    assert_eq!(on.notes, ["Successfully enabled sysvipc for web"]);
    assert!(on.warnings.is_empty());
    let off = planned_for(Some("new"), Event::Config, &[("sysvipc-off", json!(true))]);
    assert_eq!(value(&off), None);
    assert_eq!(off.notes, ["Successfully disabled sysvipc for web"]);
    assert_eq!(
        off.params,
        planned_for(Some("new"), Event::Config, &[("sysvipc", json!("disable"))]).params
    );
}

#[test]
fn what_is_so_already_is_said() {
    let again = planned_for(Some("new"), Event::Config, &[("sysvipc-on", json!(true))]);
    assert_eq!(again.notes, ["Already set to sysvipc new. web"]);
    let never = planned(Event::Config, &[("sysvipc-off", json!(true))]);
    assert_eq!(never.notes, ["Already set to sysvipc disable. web"]);
    assert!(again.params.is_empty() && never.params.is_empty());
}

#[test]
fn sharing_warns() {
    for event in [Event::Config, Event::Create] {
        let shared = planned(event, &[("sysvipc", json!("inherit"))]);
        assert_eq!(value(&shared).as_deref(), Some("inherit"));
        assert!(shared.warnings[0].contains("web will share"), "{shared:?}");
    }
    let own = planned(Event::Create, &[("sysvipc", json!("new"))]);
    assert_eq!(value(&own).as_deref(), Some("new"));
    assert!(own.warnings.is_empty() && own.notes.is_empty());
}

#[test]
fn without_its_options_it_changes_nothing() {
    for event in [Event::Config, Event::Create] {
        assert_eq!(planned(event, &[]), Plan::default());
    }
}
