"""Linux containers, by the lxc-* tools of the distribution (LXC 3 to 6)."""
