//! The wanted state of the firewall, and keeping the kernel in it.
