//! What the parameters of a jail ask of the network, and what no system allows: shared by the real systems and the fake.

use qjail_model::{AddrSpec, Network, Params};

use crate::{Interface, Result, SysError};

/// Why an interface of another kind is left alone.
pub(crate) const OTHER_KIND: &str = "it is not an interface for jails";

/// The addresses of a jail with the interface of each: of the entry itself (`lo1|192.168.1.2`), or the one that
/// `interface` names.
pub(crate) fn of_jail(name: &str, params: &Params) -> Result<Vec<(String, AddrSpec)>> {
    let default = params.text("interface");
    let mut found = Vec::new();
    for key in ["ip4.addr", "ip6.addr"] {
        for text in params.list(key) {
            let fail = |why: String| SysError::new(format!("read {key} of {name}"), why);
            let spec: AddrSpec = text.parse().map_err(|e| fail(format!("{e}")))?;
            if spec.addr.is_ipv4() != (key == "ip4.addr") {
                return Err(fail(format!("`{text}` is an {} address", spec.family())));
            }
            let interface = spec
                .interface
                .as_deref()
                .or(default)
                .map(str::to_owned)
                .ok_or_else(|| {
                    fail(format!("`{text}` has no interface"))
                        .hint("set the parameter `interface`, or write IF|ADDR")
                })?;
            found.push((interface, spec));
        }
    }
    Ok(found)
}

/// The refusal of a jail whose interface is missing.
pub(crate) fn no_interface(jail: &str, interface: &str) -> SysError {
    SysError::new(
        format!("connect {jail} to {interface}"),
        "there is no such interface",
    )
    .hint(format!("make it: qjail net create {interface} ADDRESS/LENGTH"))
}

/// The refusal of a jail whose interface can not have addresses of jails.
pub(crate) fn not_for_jails(jail: &str, interface: &str) -> SysError {
    SysError::new(format!("connect {jail} to {interface}"), OTHER_KIND)
        .hint("make one that is: qjail net create NAME ADDRESS/LENGTH")
}

/// Refuses an interface of another kind and an address that another interface has.
pub(crate) fn check_interface(all: &[Interface], name: &str, wanted: &[Network]) -> Result<()> {
    let attempt = || format!("make the interface {name}");
    if all.iter().any(|i| i.name == name && !i.for_jails) {
        return Err(SysError::new(attempt(), OTHER_KIND).hint("choose another name"));
    }
    for other in all.iter().filter(|i| i.name != name) {
        if let Some(taken) = wanted
            .iter()
            .find(|w| other.addresses.iter().any(|a| a.addr == w.addr))
        {
            return Err(SysError::new(
                attempt(),
                format!("{} is an address of {}", taken.addr, other.name),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qjail_model::ParamValue;

    fn params(items: &[(&str, &[&str])]) -> Params {
        let list = |l: &[&str]| ParamValue::List(l.iter().map(|t| (*t).to_owned()).collect());
        items.iter().map(|(k, v)| ((*k).to_owned(), list(v))).collect()
    }

    #[test]
    fn interfaces_of_addresses() {
        let p = params(&[
            ("interface", &["lo1"]),
            ("ip4.addr", &["10.0.0.2", "lo2|10.1.0.2/24"]),
            ("ip6.addr", &["fd00::2"]),
        ]);
        let found: Vec<String> = of_jail("a", &p)
            .unwrap()
            .iter()
            .map(|(i, a)| format!("{i} {a}"))
            .collect();
        assert_eq!(found, ["lo1 10.0.0.2", "lo2 lo2|10.1.0.2/24", "lo1 fd00::2"]);
    }

    #[test]
    fn refusals_name_jail_and_parameter() {
        for (p, why) in [
            (params(&[("ip4.addr", &["10.0.0.2"])]), "has no interface"),
            (
                params(&[("interface", &["lo1"]), ("ip4.addr", &["fd00::2"])]),
                "is an IPv6 address",
            ),
            (
                params(&[("interface", &["lo1"]), ("ip6.addr", &["x"])]),
                "not an IP address",
            ),
        ] {
            let error = of_jail("jail1", &p).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().contains("jail1"), "{error}");
        }
    }
}
