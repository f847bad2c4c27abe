//! The order among plugins.

use std::collections::BTreeSet;

use qjail_plugin_api::Manifest;

/// Who runs before whom: `before[i]` are the plugins that must have run before plugin `i`.
fn predecessors(plugins: &[&Manifest]) -> Vec<BTreeSet<usize>> {
    let index = |name: &str| plugins.iter().position(|p| p.name == name);
    let mut before = vec![BTreeSet::new(); plugins.len()];
    for (i, plugin) in plugins.iter().enumerate() {
        before[i].extend(plugin.after.iter().filter_map(|name| index(name)));
        for later in plugin.before.iter().filter_map(|name| index(name)) {
            before[later].insert(i);
        }
    }
    before
}

/// Sorts by `after` and `before`, then by `priority`, then by name.
///
/// # Errors
/// The plugins that wait for each other.
pub(crate) fn sort(
    plugins: &[&Manifest],
    priority: impl Fn(&Manifest) -> i32,
) -> Result<Vec<usize>, Vec<usize>> {
    let before = predecessors(plugins);
    let mut left: BTreeSet<usize> = (0..plugins.len()).collect();
    let mut sorted = Vec::with_capacity(plugins.len());
    loop {
        let ready = left.iter().copied().filter(|i| before[*i].is_disjoint(&left));
        match ready.min_by_key(|i| (priority(plugins[*i]), &plugins[*i].name)) {
            Some(next) => {
                left.remove(&next);
                sorted.push(next);
            }
            None if left.is_empty() => return Ok(sorted),
            None => return Err(only_cycles(&before, left)),
        }
    }
}

/// Takes away those that only wait for a cycle and are on none.
fn only_cycles(before: &[BTreeSet<usize>], mut left: BTreeSet<usize>) -> Vec<usize> {
    while let Some(last) = left
        .iter()
        .copied()
        .find(|i| left.iter().all(|other| !before[*other].contains(i)))
    {
        left.remove(&last);
    }
    left.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, after: &[&str], before: &[&str]) -> Manifest {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Manifest {
            after: own(after),
            before: own(before),
            ..Manifest::new(name, "1.0.0", "a plugin")
        }
    }

    fn names(plugins: &[Manifest], priority: impl Fn(&Manifest) -> i32) -> Result<Vec<String>, Vec<String>> {
        let refs: Vec<&Manifest> = plugins.iter().collect();
        let named = |list: Vec<usize>| list.into_iter().map(|i| plugins[i].name.clone()).collect();
        sort(&refs, priority).map(named).map_err(named)
    }

    #[test]
    fn wishes_first_then_priority_then_name() {
        let plugins = [
            plugin("pf", &["net"], &[]),
            plugin("net", &[], &[]),
            plugin("base", &[], &["net"]),
            plugin("aaa", &["nobody"], &[]),
        ];
        assert_eq!(names(&plugins, |_| 0).unwrap(), ["aaa", "base", "net", "pf"]);
        let low = |m: &Manifest| if m.name == "pf" { -5 } else { 0 };
        assert_eq!(names(&plugins, low).unwrap(), ["aaa", "base", "net", "pf"]);
        let late = |m: &Manifest| if m.name == "aaa" { 5 } else { 0 };
        assert_eq!(names(&plugins, late).unwrap(), ["base", "net", "pf", "aaa"]);
    }

    #[test]
    fn the_order_does_not_depend_on_who_was_found_first() {
        let mut plugins = vec![
            plugin("c", &[], &["b"]),
            plugin("a", &[], &[]),
            plugin("b", &[], &[]),
        ];
        let one = names(&plugins, |_| 0);
        plugins.reverse();
        assert_eq!(names(&plugins, |_| 0), one);
        assert_eq!(one.unwrap(), ["a", "c", "b"]);
    }

    #[test]
    fn a_cycle_is_told_without_those_that_only_wait_for_it() {
        let plugins = [
            plugin("a", &["b"], &[]),
            plugin("b", &["c"], &[]),
            plugin("c", &["a"], &[]),
            plugin("waits", &["a"], &[]),
            plugin("first", &[], &["a"]),
        ];
        assert_eq!(names(&plugins, |_| 0).unwrap_err(), ["a", "b", "c"]);
    }
}
