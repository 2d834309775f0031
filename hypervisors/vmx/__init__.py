"""VMware's .vmx files and libvirt's domain XML: pure functions, shared by every VMware driver."""
