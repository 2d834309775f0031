"""VMware Workstation, Player and Fusion, driven by vmrun and vmrest."""
