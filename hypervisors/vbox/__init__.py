"""VirtualBox: guests of a user's VBoxSVC, driven by VBoxManage."""
