//! Jails with a network stack of their own.

use super::Host;

#[test]
fn a_network_of_its_own() {
    let mut host = Host::ready();
    host.ok(&["net", "create", "bridge1", "10.1.0.1/24"]);
    host.ok(&[
        "create", "-n", "bridge1", "-4", "10.1.0.2", "--param", "vnet=new", "web",
    ]);
    let before = host.state();
    host.text.clear();
    host.ok(&["start", "web"]);
    host.check("start-vnet.txt");
    host.ok(&["stop", "web"]);
    host.check("stop-vnet.txt");
    assert_eq!(host.state(), before);
    // Its interfaces are called after it.
    host.fails(&["config", "-n", "thirteen-char", "web"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "thirteen-char"]);
    host.fails(&["config", "--param", "vnet=new", "thirteen-char"]);
    host.ok(&["config", "--param", "vnet=new", "-n", "thirteen", "thirteen-char"]);
    host.ok(&["delete", "thirteen"]);
    assert_eq!(host.state(), before);
    for module in ["if_epair", "if_bridge"] {
        host.machine.unload(module, false);
        host.fails(&["start", "web"]);
        assert_eq!(host.state(), before);
    }
}
